import { removeVmDirectory } from "../vmDirectory";
import { removeControlGroup } from "./controlGroup";

/** What the outermost process may be called, with and without namespaces. */
const agentPrograms = ["unshare", "agent"];

/** Ends what runs in the directory and removes it. Repeatable. */
export async function removeMemoryVm(directory: string): Promise<void> {
  await removeVmDirectory(directory, agentPrograms);
  await removeControlGroup(directory);
}
