import type { Trampoline } from "./trampoline";

/** What the state keeps of `secret`'s provider; see `Trampoline`. */
export const secretTrampoline: Trampoline = {
  async configure(request) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .configure(request);
  },
  async check(olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .check(olds, news);
  },
  async diff(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .diff(id, olds, news);
  },
  async create(inputs) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .create(inputs);
  },
  async read(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .read(id, props);
  },
  async update(id, olds, news) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .update(id, olds, news);
  },
  async delete(id, props) {
    return require("node:module")
      .createRequire(`${process.cwd()}/x.js`)("pulumi-sandboxes/dynamic/secret")
      .delete(id, props);
  },
};
