import { test } from "vitest";
import { runPython, scenariosOf } from "./pythonSdk";
import type { SdkHost } from "./sdkHost";

/** One test for each scenario of a Python module; `more` goes into its environment. */
export function pythonScenarios(module: string, host: SdkHost, more: () => Record<string, string> = () => ({})): void {
  for (const { name, title } of scenariosOf(module)) {
    test(`${module}: ${title}`, async () => {
      await runPython(["run.py", module, name], host, more());
    });
  }
}
