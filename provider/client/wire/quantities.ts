import { z } from "zod";

const bytesPerUnit: Record<string, number> = {
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
};

/** A processor share: `500m`, `0.5`, `2` or a number of processors. Normalised to millis, `500m`. */
export const cpuQuantity = z.union([z.string(), z.number()]).transform((value, context) => {
  const millis = readCpu(String(value));
  if (millis === undefined) {
    context.addIssue({ code: "custom", message: `"${value}" is no processor quantity; write "500m", "0.5" or "2"` });
    return z.NEVER;
  }
  return `${millis}m`;
});

/** Memory or disk: `512Mi`, `2Gi`, `1.5Gi`. Normalised to whole mebibytes, `2048Mi`, rounded up. */
export const sizeQuantity = z.string().transform((value, context) => {
  const mebibytes = readSize(value);
  if (mebibytes === undefined) {
    context.addIssue({ code: "custom", message: `"${value}" is no size; write "512Mi" or "2Gi"` });
    return z.NEVER;
  }
  return `${mebibytes}Mi`;
});

/** Thousandths of a processor in `500m`, `0.5` or `2`. Throws on what `cpuQuantity` refuses. */
export function cpuMillis(quantity: string): number {
  return Number.parseInt(cpuQuantity.parse(quantity), 10);
}

/** Whole mebibytes in `512Mi` or `2Gi`, rounded up. Throws on what `sizeQuantity` refuses. */
export function sizeMiB(quantity: string): number {
  return Number.parseInt(sizeQuantity.parse(quantity), 10);
}

function readCpu(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(text.trim());
  if (!match) return undefined;
  const millis = Math.round(Number(match[1]) * (match[2] ? 1 : 1000));
  return millis > 0 && Number.isSafeInteger(millis) ? millis : undefined;
}

function readSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|K|M|G|T|)$/.exec(text.trim());
  if (!match) return undefined;
  const bytes = Number(match[1]) * (bytesPerUnit[match[2] as string] ?? 1);
  const mebibytes = Math.ceil(bytes / 2 ** 20);
  return mebibytes > 0 && Number.isSafeInteger(mebibytes) ? mebibytes : undefined;
}
