import type { z } from "zod";
import type { Resource } from "../../provider/pulumi/defineResource";
import type { Parity, Support } from "../../provider/pulumi/parity";
import type { Target } from "../../provider/pulumi/providerConfig";
import { descriptionOf } from "../../provider/pulumi/schema";

/** docs/targetParity.md: every input of every resource, and what each target makes of it. */
export function parityPage(resources: readonly Resource[], parity: Readonly<Record<string, Parity>>): string {
  const sections = resources.map(({ token, description, inputs }) => {
    const rows = inputsOf(inputs).map((name) => {
      const cell = (target: Target) => cellOf(parity[token]?.[name]?.[target]);
      const text = descriptionOf(inputs.shape[name] as z.ZodType) ?? "";
      return `| \`${name}\` | ${escaped(text)} | ${cell("microvm")} | ${cell("azure")} |`;
    });
    return [
      `## ${token}`,
      "",
      description,
      "",
      "| input | is | microvm | azure |",
      "| --- | --- | --- | --- |",
      ...rows,
      "",
    ];
  });
  return [
    "<!-- Written by `npx vitest run test/resources/parity.test.ts -u` from provider/resources; edit that. -->",
    "",
    "# Target parity",
    "",
    "A program runs on both targets: `microvm`, a host of your own, and `azure`. What one of them cannot honour is refused",
    "in the preview, by the input's name and with the reason; nothing is ignored.",
    "",
    ...sections.flat(),
  ].join("\n");
}

/** Names of the inputs that users see. */
export function inputsOf(inputs: z.ZodObject): string[] {
  return Object.keys(inputs.shape).filter((name) => !name.startsWith("__"));
}

function cellOf(support: Support | undefined): string {
  return support ? `${support.support}: ${escaped(support.text)}` : "yes";
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("*", "\\*").replaceAll("<", "&lt;");
}
