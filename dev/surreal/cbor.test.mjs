import assert from "node:assert/strict";
import { test } from "node:test";
import { elements, encoded, fields, map, none, skip, text, uuid, uuidOf } from "./cbor.mjs";

test("what is written is found again", () => {
  const long = "x".repeat(70_000);
  const id = Buffer.alloc(16, 7);
  const frame = map([["id", 500], ["negative", -70_000], ["text", long], ["none", none], ["list", ["a", null, 1]], ["uuid", uuid(id)]]);
  assert.equal(skip(frame, 0), frame.length);
  const found = fields(frame);
  assert.equal(text(found.get("text")), long);
  assert.deepEqual(found.get("none"), none);
  assert.deepEqual(elements(found.get("list")).map((e) => text(e)), ["a", undefined, undefined]);
  assert.equal(uuidOf(found.get("uuid")), id.toString("hex"));
  assert.equal(uuidOf(found.get("id")), undefined);
  assert.equal(uuidOf(undefined), undefined);
});

test("every form of CBOR is passed over", () => {
  const forms = [
    "00", "1818", "190100", "1a00010000", "1b0000000100000000", "20", "40", "4201ff", "5f41014102ff", "60", "7f61616162ff", "80", "9f01ff",
    "a0", "bf6161f6ff", "c6f6", "d82550" + "00".repeat(16), "f4", "f6", "f818", "f93c00", "fa47c35000", "fb3ff199999999999a",
  ];
  for (const form of forms) {
    const buf = Buffer.from(form + "00", "hex");
    assert.equal(skip(buf, 0), buf.length - 1, form);
  }
});

test("what is broken is refused", () => {
  const forms = ["", "18", "1c", "ff", "61", "8101ff".slice(0, 2), "a16161", "5b00000000ffffffff", "9f01", "c6", "81".repeat(100) + "00", "1f"];
  for (const form of forms) assert.throws(() => skip(Buffer.from(form, "hex"), 0), RangeError, form);
  assert.throws(() => fields(encoded([])), RangeError);
  assert.throws(() => elements(map([])), RangeError);
});
