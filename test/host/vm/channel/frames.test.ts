import fc from "fast-check";
import { expect, test } from "vitest";
import { isSandboxesError } from "../../../../provider/client/errors";
import { Fields, FieldWriter } from "../../../../provider/host/vm/channel/fields";
import { encodeFrame, FrameDecoder } from "../../../../provider/host/vm/channel/frames";
import { headerBytes, maxPayloadBytes } from "../../../../provider/host/vm/channel/protocol";

const frame = fc.record({
  stream: fc.nat(0xffffffff),
  type: fc.nat(255),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

test("frames come out whole however their bytes arrive", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.integer({ min: 1, max: 700 }), (frames, step) => {
      const bytes = Buffer.concat(frames.map(({ stream, type, payload }) => encodeFrame(stream, type, payload)));
      const decoder = new FrameDecoder();
      const decoded = [];
      for (let offset = 0; offset < bytes.length; offset += step) {
        decoded.push(...decoder.push(bytes.subarray(offset, offset + step)));
      }
      expect(decoded).toEqual(frames);
      expect(decoder.heldBytes).toBe(0);
    }),
  );
});

test("bytes of a hostile guest end in frames or in GuestFailed, and never in more memory than one frame", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 200 }), (chunks) => {
      const decoder = new FrameDecoder();
      try {
        for (const chunk of chunks) {
          for (const { payload } of decoder.push(Buffer.from(chunk))) readFields(payload);
          expect(decoder.heldBytes).toBeLessThanOrEqual(headerBytes + maxPayloadBytes);
        }
      } catch (error) {
        expect(isSandboxesError(error, "GuestFailed")).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test("a frame that announces more than the limit is refused before any memory is given to it", () => {
  const decoder = new FrameDecoder();
  const header = encodeFrame(2, 19);
  header.writeUInt32BE(maxPayloadBytes + 1, 0);
  expect(() => [...decoder.push(header)]).toThrow(/a frame of 65537 bytes/);
});

test("fields come back as they were written", () => {
  const fields = fc.array(fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 50 })), { maxLength: 20 });
  fc.assert(
    fc.property(fields, (written) => {
      const writer = new FieldWriter();
      for (const [tag, value] of written) writer.bytes(tag, value);
      const read = new Fields(writer.toBuffer());
      for (const tag of new Set(written.map(([tag]) => tag))) {
        const expected = written.filter(([candidate]) => candidate === tag).map(([, value]) => Buffer.from(value));
        expect(read.all(tag)).toEqual(expected);
      }
    }),
  );
});

test("numbers of fields keep their value up to 2^53", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (number) => {
      expect(new Fields(new FieldWriter().number(7, number).toBuffer()).number(7)).toBe(number);
    }),
  );
});

test("random bytes as fields are read or refused with GuestFailed", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => readFields(Buffer.from(bytes))));
});

function readFields(bytes: Buffer): void {
  try {
    const fields = new Fields(bytes);
    for (const tag of [1, 50, 54]) fields.number(tag);
  } catch (error) {
    if (!isSandboxesError(error, "GuestFailed")) throw error;
  }
}
