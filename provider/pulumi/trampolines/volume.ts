import type { Trampoline } from "./trampoline";

/** What the state keeps of `volume`'s provider; see `Trampoline`. */
export const volumeTrampoline: Trampoline = {
  async configure(request) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .configure(request);
  },
  async check(olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .check(olds, news);
  },
  async diff(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .diff(id, olds, news);
  },
  async create(inputs) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .create(inputs);
  },
  async read(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .read(id, props);
  },
  async update(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .update(id, olds, news);
  },
  async delete(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/volume")
      .delete(id, props);
  },
};
