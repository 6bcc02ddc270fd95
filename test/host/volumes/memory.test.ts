import { accessSync, constants } from "node:fs";
import { createMemoryDriver } from "../../../provider/host/vm/memory";
import { findContainment } from "../../../provider/host/vm/memory/container";
import { volumeScenarios } from "./scenarios";

volumeScenarios("processes of this machine", {
  createDriver: (dataDirectory) => createMemoryDriver({ dataDirectory }),
  missing: async () => {
    try {
      accessSync("/dev/fuse", constants.W_OK);
    } catch {
      return "this machine grants no /dev/fuse";
    }
    return (await findContainment()) === "namespaces" ? undefined : "this machine grants no namespaces";
  },
});
