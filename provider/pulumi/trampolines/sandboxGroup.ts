import type { Trampoline } from "./trampoline";

/** What the state keeps of `sandboxGroup`'s provider; see `Trampoline`. */
export const sandboxGroupTrampoline: Trampoline = {
  async configure(request) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .configure(request);
  },
  async check(olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .check(olds, news);
  },
  async diff(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .diff(id, olds, news);
  },
  async create(inputs) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .create(inputs);
  },
  async read(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .read(id, props);
  },
  async update(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .update(id, olds, news);
  },
  async delete(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/sandboxGroup")
      .delete(id, props);
  },
};
