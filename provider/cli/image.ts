import type { DiskImageView, PublicImageView } from "../client/wire/diskImages";
import { commonUsage, parseArguments } from "./arguments";
import { type Command, type CommandIo, usageError } from "./command";
import { formatTable } from "./table";
import { openTarget, type Target } from "./target";

const hint = "sandboxes image ls, or sandboxes image import REFERENCE";

/** `sandboxes image`: what sandboxes are made from. */
export const imageCommand: Command = {
  name: "image",
  summary: "list and import images",
  usage: `sandboxes image ls
sandboxes image import [--name NAME] REFERENCE

REFERENCE is a registry's (python:3.12), or on the host's own machine oci:DIR, docker-archive:FILE or rootfs:FILE.

  --name NAME        name of the disk image
${commonUsage}`,

  async run(argv, io) {
    const { values, positionals } = parseArguments(argv, { name: { type: "string" } }, hint);
    const [verb, reference, ...others] = positionals;
    const json = values.json ?? false;
    if (verb === "ls" && reference === undefined) return list(await openTarget(values, io), json, io);
    if (verb === "import" && reference !== undefined && others.length === 0) {
      return importImage(await openTarget(values, io), { reference, name: values.name }, json, io);
    }
    throw usageError(verb === undefined ? "ls or import?" : `"image ${positionals.join(" ")}" is not understood`, hint);
  },
};

async function list({ api }: Target, json: boolean, io: CommandIo): Promise<number> {
  const { signal } = io;
  const [publicImages, diskImages] = await Promise.all([
    api.diskImages.listPublic({ signal }),
    api.diskImages.list({ signal }),
  ]);
  if (json) io.stdout.write(`${JSON.stringify({ publicImages, diskImages })}\n`);
  else {
    const rows = [...publicImages.map(publicRow), ...diskImages.map(row)];
    io.stdout.write(formatTable(["IMAGE", "ID", "STATE", "MB", "ABOUT"], rows));
  }
  return 0;
}

async function importImage(
  { api }: Target,
  { reference, name }: { reference: string; name?: string },
  json: boolean,
  io: CommandIo,
): Promise<number> {
  const { signal } = io;
  const created = await api.diskImages.create({ image: { base: reference }, name }, { signal });
  const onProgress = (message: string) => io.stderr.write(`${message}\n`);
  const view = await api.diskImages.waitUntilReady(created.id, { signal, onProgress });
  io.stdout.write(json ? `${JSON.stringify(view)}\n` : `${view.id}\n`);
  return 0;
}

function publicRow({ name, status, description }: PublicImageView): string[] {
  return [name, "", status?.state ?? "", "", description ?? ""];
}

function row({ id, image, status, sizeInMB, name }: DiskImageView): string[] {
  const about = status.state === "Failed" ? (status.errorMessage ?? "") : (name ?? "");
  return [image.base ?? "", id, status.state, sizeInMB ? String(sizeInMB) : "", about];
}
