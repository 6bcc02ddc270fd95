import type { Trampoline } from "./trampoline";

/** What the state keeps of `snapshot`'s provider; see `Trampoline`. */
export const snapshotTrampoline: Trampoline = {
  async configure(request) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .configure(request);
  },
  async check(olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .check(olds, news);
  },
  async diff(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .diff(id, olds, news);
  },
  async create(inputs) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .create(inputs);
  },
  async read(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .read(id, props);
  },
  async update(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .update(id, olds, news);
  },
  async delete(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/snapshot")
      .delete(id, props);
  },
};
