import { describe, expect, it } from "vitest";
import { type ImageReference, parseImageReference } from "../../../provider/host/images";
import { condensed, registryError } from "../../../provider/host/images/registryError";
import { ToolFailure } from "../../../provider/host/images/toolProcess";

const reference = parseImageReference("docker.io/library/x:1") as Extract<ImageReference, { kind: "registry" }>;

describe("registryError", () => {
  // As skopeo 1.9 and the named registries word it.
  it.each([
    ["reading manifest 1 in docker.io/library/x: manifest unknown: manifest unknown", "ImageNotFound"],
    ["reading manifest 1 in h/x: name unknown: repository name not known to registry", "ImageNotFound"],
    ["requested access to the resource is denied", "RegistryFailed"],
    ["reading manifest: unauthorized: authentication required", "RegistryFailed"],
    ["unable to retrieve auth token: invalid username/password: unauthorized", "RegistryFailed"],
    ['pinging container registry h: Get \\"https://h/v2/\\": dial tcp: lookup h: no such host', "RegistryFailed"],
    [
      'pinging container registry h: Get \\"https://h/v2/\\": x509: certificate signed by unknown authority',
      "RegistryFailed",
    ],
    ["toomanyrequests: You have reached your pull rate limit", "RegistryFailed"],
    ["open /etc/containers/policy.json: no such file or directory", "HostUnavailable"],
    ["something new", "RegistryFailed"],
  ])("%s is %s", (said, code) => {
    const failure = new ToolFailure("skopeo", `time="2026" level=fatal msg="Error parsing image name: ${said}"`);
    expect(registryError(reference, failure)).toMatchObject({
      code,
      message: expect.stringContaining("image docker.io/library/x:1: "),
    });
  });

  it("repeats no user names, passwords or signatures of addresses", () => {
    const said = 'level=fatal msg="Get \\"https://me:pw@h/v2/x?X-Signature=abc&y=1\\": EOF"';
    expect(condensed(said)).toBe('Get "https://h/v2/x": EOF');
  });

  it("passes other errors on", () => {
    const other = new Error("other");
    expect(registryError(reference, other)).toBe(other);
  });
});
