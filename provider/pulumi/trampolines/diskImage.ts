import type { Trampoline } from "./trampoline";

/** What the state keeps of `diskImage`'s provider; see `Trampoline`. */
export const diskImageTrampoline: Trampoline = {
  async configure(request) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .configure(request);
  },
  async check(olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .check(olds, news);
  },
  async diff(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .diff(id, olds, news);
  },
  async create(inputs) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .create(inputs);
  },
  async read(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .read(id, props);
  },
  async update(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .update(id, olds, news);
  },
  async delete(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/diskImage")
      .delete(id, props);
  },
};
