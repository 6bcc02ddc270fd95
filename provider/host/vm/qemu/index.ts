export { createQemuDriver, type QemuDriverOptions } from "./qemuDriver";
