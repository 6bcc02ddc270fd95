import { expect, test } from "vitest";
import { programOf } from "../../../provider/host/services/program";
import { warmUpLabel, warmUpOf } from "../../../provider/host/services/warmUp";
import { plainConfig } from "../fakes/shelf";

const image = { ...plainConfig, env: {}, entrypoint: ["/entry"], cmd: ["default"] };

test("an entrypoint of one's own drops the image's cmd, a cmd of one's own keeps its entrypoint", () => {
  const argv = (diskImage: object, sandbox: object) => programOf(image, diskImage, sandbox, {}).argv;
  expect(argv({}, {})).toEqual(["/entry", "default"]);
  expect(argv({}, { cmd: ["x"] })).toEqual(["/entry", "x"]);
  expect(argv({}, { entrypoint: ["/own"] })).toEqual(["/own"]);
  expect(argv({ entrypoint: ["/disk"], cmd: ["y"] }, { cmd: ["z"] })).toEqual(["/disk", "z"]);
  expect(argv({ entrypoint: ["/disk"], cmd: ["y"] }, { entrypoint: ["/own"] })).toEqual(["/own"]);
});

test("a lone shell is started only when somebody asked for it", () => {
  const config = { ...image, entrypoint: [], cmd: ["/bin/bash"] };
  expect(programOf(config, {}, {}, {}).argv).toEqual([]);
  expect(programOf(config, {}, { cmd: ["/bin/bash"] }, {}).argv).toEqual(["/bin/bash"]);
  expect(programOf({ ...config, cmd: ["bash", "/start.sh"] }, {}, {}, {}).argv).toEqual(["bash", "/start.sh"]);
});

test("the sandbox's environment is laid over the image's, that over what programs expect", () => {
  const config = { ...image, env: { A: "image", B: "image" } };
  const { env } = programOf(config, {}, {}, { B: "sandbox" });
  expect(env).toMatchObject({ A: "image", B: "sandbox", HOME: "/root", PATH: expect.stringContaining("/usr/bin") });
  expect(programOf({ ...config, user: "app" }, {}, {}, {})).toMatchObject({ user: "app", workingDirectory: "/" });
  expect(programOf({ ...config, user: "app" }, {}, {}, {}).env.HOME).toBeUndefined();
});

test("templates are warmed by what the caller says, else the image's label, else its interpreter", () => {
  const python = { ...image, entrypoint: [], cmd: ["python3.12"] };
  expect(warmUpOf(python)).toEqual([["python3.12", "-c", ""]]);
  expect(warmUpOf({ ...python, labels: { [warmUpLabel]: "make warm" } })).toEqual([["/bin/sh", "-c", "make warm"]]);
  expect(warmUpOf(python, ["/warm"])).toEqual([["/warm"]]);
  expect(warmUpOf(image)).toEqual([]);
});
