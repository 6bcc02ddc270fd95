import { test } from "vitest";
import { runPython, scenariosOf } from "./pythonSdk";
import type { SdkHost } from "./sdkHost";

/** Each starts a Python interpreter and sandboxes; long enough for a machine that is busy with other tests. */
const timeout = 300_000;

/** One test for each scenario of a Python module; `more` goes into its environment. */
export function pythonScenarios(module: string, host: SdkHost, more: () => Record<string, string> = () => ({})): void {
  for (const { name, title } of scenariosOf(module)) {
    test(`${module}: ${title}`, { timeout }, async () => {
      await runPython(["run.py", module, name], host, more());
    });
  }
}
