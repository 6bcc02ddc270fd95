export { chooseAccelerator } from "./accelerator";
export { inspectQemu } from "./inspectQemu";
export { createQemuDriver, type QemuDriverOptions } from "./qemuDriver";
