import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { refreshGuest } from "../../../../provider/host/services/startSandbox";
import type { Vm } from "../../../../provider/host/vm/driver";
import { run, shell } from "../guestCommands";
import { bytesOf, type RealGuest } from "./realGuest";

const paths = ["/etc/hosts", "/etc/hostname", "/etc/machine-id", "/etc/passwd", "/etc/group", "/run/.boot_id"];

/** What a guest's root puts where the agent reads and writes: the agent neither waits for it nor ends. */
export function describePlanted(guest: () => RealGuest): void {
  describe("where the guest's root put something else in the place of what the agent reads and writes", () => {
    let vm: Vm;
    let id: string;

    beforeAll(async () => {
      vm = await guest().driver.clone(guest().template, { vmId: "planted" });
    });
    afterAll(() => vm?.destroy());

    /** Has it all done that touches those files. */
    async function useAll(): Promise<void> {
      id = randomUUID();
      await refreshGuest(id, vm);
      expect(await run(vm.agent, ["hostname"])).toMatchObject({ stdout: `${id.slice(0, 8)}\n`, exitCode: 0 });
      expect(await run(vm.agent, ["echo", "x"], { user: "0" })).toMatchObject({ stdout: "x\n", exitCode: 0 });
      expect(await run(vm.agent, ["cat"])).toMatchObject({ stdout: "", exitCode: 0 });
    }

    const content = async (path: string) => (await run(vm.agent, ["cat", path])).stdout.trim();

    it.each([
      ["a pipe", "mkfifo"],
      ["a link to a pipe", "mkfifo /run/pipe; ln -s /run/pipe"],
      ["a link to a file without end", "ln -s /dev/zero"],
      ["a link to itself", "plant() { ln -s $1 $1; }; plant"],
      ["a device", "plant() { mknod $1 c 1 5; }; plant"],
    ])("%s is replaced by a file with the clone's own names", async (_name, plant) => {
      const bootId = await content("/proc/sys/kernel/random/boot_id");
      const [before, command] = plant.includes("; ")
        ? [plant.split("; ").slice(0, -1).join("; "), plant.split("; ").at(-1)]
        : ["true", plant];
      const script = `rm -f /run/pipe; ${before}; for path in ${paths.join(" ")}; do rm -rf $path; ${command} $path; done`;
      expect(await shell(vm.agent, script)).toMatchObject({ stderr: "", exitCode: 0 });
      await useAll();
      expect(await content("/etc/hostname")).toBe(id.slice(0, 8));
      expect(await content("/etc/machine-id")).toBe(id.replaceAll("-", ""));
      expect(await content("/etc/hosts")).toContain(id.slice(0, 8));
      expect(await content("/proc/sys/kernel/random/boot_id")).not.toBe(bootId);
    });

    it("a directory stays, and the machine goes on", async () => {
      await shell(vm.agent, `for path in ${paths.join(" ")}; do rm -rf $path; mkdir -p $path/full; done`);
      await useAll();
      await shell(vm.agent, `rm -rf ${paths.join(" ")}`);
      await useAll();
      expect(await content("/etc/hostname")).toBe(id.slice(0, 8));
    });

    it("pipes in /dev and over the control groups hold nothing up", async () => {
      const script = `
        for path in /dev/null /dev/ptmx; do mv $path $path.was; mkfifo $path; done
        mkdir -p /run/groups; mount -t tmpfs none /sys/fs/cgroup
        for n in 1 2 3 4 5 6 7 8 9; do
          mkdir -p /sys/fs/cgroup/exec/$n
          for name in events procs kill freeze; do mkfifo /sys/fs/cgroup/exec/$n/cgroup.$name; done
        done`;
      expect(await shell(vm.agent, script)).toMatchObject({ stderr: "", exitCode: 0 });
      await useAll();
      expect(await run(vm.agent, ["sleep", "1000"], { timeoutMs: 100 })).toMatchObject({ timedOut: true });
      await expect(vm.agent.exec({ argv: ["/bin/true"], tty: { columns: 80, rows: 24 } })).rejects.toThrow();
      await shell(
        vm.agent,
        "umount /sys/fs/cgroup; for path in /dev/null /dev/ptmx; do rm $path; mv $path.was $path; done",
      );
      await useAll();
    });

    it("a file system of a program that answers nothing holds up only who asks for it", async () => {
      const options = "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other";
      const script = `mkdir /mnt; exec 3<>/dev/fuse; mount -i -t fuse -o ${options} none /mnt && echo mounted; exec sleep 100000`;
      const server = await vm.agent.exec({ argv: ["/bin/sh", "-c", script], env: { PATH: "/bin" } });
      for await (const chunk of server.stdout) if (chunk.toString().includes("mounted")) break;
      const given = new AbortController();
      const lost = [
        vm.agent.stat("/mnt/x", { signal: given.signal }),
        vm.agent.exec({ argv: ["/bin/true"], cwd: "/mnt", signal: given.signal }),
        vm.agent.exec({ argv: ["/mnt/x"], signal: given.signal }),
        vm.agent.writeFile("/mnt/x", bytesOf("x"), { signal: given.signal }),
      ].map((call) => expect(call).rejects.toThrow());
      await vm.agent.ping();
      await useAll();
      given.abort();
      await Promise.all(lost);
      await useAll();
      server.kill("SIGKILL");
      await server.exit;
    });
  });
}
