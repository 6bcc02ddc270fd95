import { describe, expect, it } from "vitest";
import {
  condensed,
  connectionError,
  PassingFailure,
  statusError,
} from "../../../../provider/host/images/registry/registryError";

const what = "docker.io/library/x:1";

function coded(code: string): Error {
  return Object.assign(new Error("of node"), { code });
}

describe("connectionError", () => {
  it.each([
    ["ECONNREFUSED", true, /cannot be reached: connection refused/],
    ["EAI_AGAIN", true, /name cannot be resolved \(EAI_AGAIN\)/],
    ["ENOTFOUND", false, /name cannot be resolved/],
    ["SELF_SIGNED_CERT_IN_CHAIN", false, /no trusted TLS/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", false, /no trusted TLS/],
    ["ECONNRESET", true, /connection was cut/],
    ["UND_ERR_SOCKET", true, /connection was cut/],
    ["UND_ERR_HEADERS_TIMEOUT", true, /nothing more came/],
    ["E_SOMETHING_NEW", true, /cannot be fetched \(E_SOMETHING_NEW\)/],
  ])("%s may pass: %s", (code, mayPass, message) => {
    const error = connectionError(what, coded(code));
    expect(error).toMatchObject({ code: "RegistryFailed", message: expect.stringMatching(message) });
    expect((error as Error).message).toContain(`image ${what}: `);
    expect(error instanceof PassingFailure).toBe(mayPass);
  });

  it("finds the reason behind others", () => {
    const error = new Error("fetch failed", { cause: new AggregateError([coded("ECONNREFUSED")]) });
    expect(connectionError(what, error)).toMatchObject({ message: expect.stringMatching(/connection refused/) });
  });

  it("passes other errors on", () => {
    const other = new Error("other");
    expect(connectionError(what, other)).toBe(other);
  });
});

describe("statusError", () => {
  it.each([
    [404, "ImageNotFound", false, /no such image or tag/],
    [401, "RegistryFailed", false, /wants credentials/],
    [403, "RegistryFailed", false, /wants credentials/],
    [429, "RegistryFailed", true, /limits requests/],
    [503, "RegistryFailed", true, /the registry failed/],
    [418, "RegistryFailed", false, /the registry refused/],
  ])("%s is %s, may pass: %s", (status, code, mayPass, message) => {
    const body = '{"errors":[{"code":"SOME_CODE","message":"in its own words"}]}';
    const error = statusError(what, { status, retryAfter: undefined, hasCredentials: false }, body);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(error.message).toContain(`(HTTP ${status}: SOME_CODE in its own words)`);
    expect(error instanceof PassingFailure).toBe(mayPass);
  });

  it("waits as long as it is asked to", () => {
    expect(statusError(what, { status: 429, retryAfter: "7", hasCredentials: true }, "")).toMatchObject({
      retryAfterMs: 7000,
    });
  });
});

it("repeats no user names, passwords, signatures of addresses, or pages", () => {
  expect(condensed("Get https://me:pw@h/v2/x?X-Signature=abc&y=1 failed")).toBe("Get https://h/v2/x failed");
  expect(condensed("<html><body>login</body></html>")).toBe("");
});
