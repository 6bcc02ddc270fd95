import { networkInterfaces } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAddressJudge } from "../../../provider/host/egress/addresses";

const judge = createAddressJudge([], () => []);

describe("no sandbox may connect to", () => {
  it.each([
    ["this machine", ["127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::"]],
    ["private networks", ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00:ec2::254"]],
    ["link-local addresses, so clouds' metadata", ["169.254.169.254", "169.254.170.2", "fe80::1"]],
    ["metadata on other addresses", ["100.100.100.200", "192.0.0.192", "168.63.129.16"]],
    ["carriers' networks", ["100.64.0.1", "100.127.255.255"]],
    ["multicast and broadcast", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"]],
    [
      "documentation and benchmarks",
      ["192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    ],
    ["IPv4 in IPv6", ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::10.0.0.1"]],
    ["IPv4 carried by IPv6", ["2002:7f00:1::", "2001:0:7f00:1::", "64:ff9b:1::1"]],
    ["what is no address", ["", "localhost", "1.2.3", "fe80::1%eth0", "1.2.3.4.5"]],
  ])("%s", (_what, addresses) => {
    for (const address of addresses) expect(judge(address), address).toBeTypeOf("string");
  });

  it("this machine's own addresses, wherever they are from", () => {
    const own = createAddressJudge([], () => ["93.184.216.34", "2606:2800:220:1::1"]);
    expect([own("93.184.216.34"), own("2606:2800:220:1:0:0:0:1")]).toEqual(
      Array(2).fill("it is an address of this host"),
    );
    const real = createAddressJudge([]);
    for (const { address } of Object.values(networkInterfaces()).flatMap((each) => each ?? [])) {
      expect(real(address), address).toBeTypeOf("string");
    }
  });
});

describe("sandboxes may connect to", () => {
  it.each(["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])(
    "%s",
    (address) => expect(judge(address)).toBeUndefined(),
  );

  it("what the operator allows, and no more", () => {
    const lenient = createAddressJudge(["10.1.0.0/16", "fd00::/8", "127.0.0.1"]);
    for (const address of ["10.1.2.3", "fd12::1", "127.0.0.1", "::ffff:127.0.0.1"]) {
      expect(lenient(address), address).toBeUndefined();
    }
    for (const address of ["10.2.0.1", "127.0.0.2", "fc00::1", "169.254.169.254"]) {
      expect(lenient(address), address).toBeTypeOf("string");
    }
  });

  it("an address in IPv6's clothes exactly if they may to the address itself", () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(octet, octet, octet, octet, (...octets) => {
        const address = octets.join(".");
        expect(judge(`::ffff:${address}`)).toBe(judge(address));
        expect(judge(`64:ff9b::${address}`)).toBe(judge(address));
      }),
    );
  });
});
