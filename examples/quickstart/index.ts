import { DiskImage, Sandbox, SandboxGroup } from "pulumi-sandboxes";

const group = new SandboxGroup("quickstart");

// A name of the host's own catalogue; "python:3.12" would be the image of that name on Docker Hub.
const python = new DiskImage("python", { group, image: "python" });

const sandbox = new Sandbox("first", { group, image: python, labels: { "made-by": "quickstart" } });

// What an application needs to find them; see run.ts.
export const groupId = group.id;
export const imageId = python.diskImageId;
export const sandboxId = sandbox.sandboxId;
export const isolation = sandbox.isolation;
