#!/usr/bin/env bash
# @tonejs/midi 2.0.28 with midi-file 1.2.4 (Node), 2026-11-30.
# Expected: new Midi(bytes), and its toArray(), keep bends and key signatures: a bend by 4096 of 8192 stays 4096; three flats with
#   the mode "minor" are C minor, no sharp with "minor" is A minor, and both are written as they were.
# Seen: bends are read as parts of one (0.5) and written unscaled, as a whole number from -1 to 1: every bend is as good as gone. Keys are
#   named after the signature alone: C minor is "Eb" "minor", A minor "C" "minor". They are written 14 fifths too high (14 sharps for none),
#   which is outside the format's -7 to 7; the copy's keys have no name when it is read again.
# To do: edit bends and keys with midi-file (parseMidi, writeMidi) alone; the tonic of a minor key is the tone three fifths above
#   the name that @tonejs/midi gives.
set -euo pipefail
command -v npm >/dev/null || { echo "no npm here: nothing can be seen"; exit 77; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
npm install --silent --no-audit --no-fund --prefix . @tonejs/midi@2.0.28 midi-file@1.2.4
cat > look.cjs <<'JS'
const { Midi } = require("@tonejs/midi");
const { parseMidi } = require("midi-file");

function song(events) {
  const body = [...events, 0, 0x90, 60, 100, 0x83, 0x60, 0x80, 60, 64, 0, 0xff, 0x2f, 0]; // c', a quarter long
  return Uint8Array.from([0x4d, 0x54, 0x68, 0x64, 0, 0, 0, 6, 0, 0, 0, 1, 1, 0xe0, 0x4d, 0x54, 0x72, 0x6b, 0, 0, 0, body.length, ...body]);
}

const all = (bytes, type) => parseMidi(bytes).tracks.flat().filter((event) => event.type === type);
const bends = (bytes) => all(bytes, "pitchBend").map((event) => event.value);
const keys = (bytes) => all(bytes, "keySignature").map((event) => [event.key, event.scale]);
const names = (midi) => midi.header.keySignatures.map((key) => `${key.key} ${key.scale}`);

const seen = {};
const bent = song([0, 0xe0, 0, 0x60, 0, 0xe0, 0, 0x20]);
seen.bends = [bends(bent), bends(new Midi(bent).toArray())];
console.log(`bends in the file ${seen.bends[0]}, in its copy ${seen.bends[1]}`);
for (const [name, fifths, mode] of [["C minor", 0xfd, 1], ["A minor", 0, 1], ["C major", 0, 0]]) {
  const bytes = song([0, 0xff, 0x59, 2, fifths, mode]);
  const midi = new Midi(bytes);
  const copy = midi.toArray();
  seen[name] = [keys(bytes)[0], names(midi), keys(copy)[0], names(new Midi(copy))];
  console.log(`${name}: fifths and mode ${seen[name][0]}, read as ${seen[name][1]}, written as ${seen[name][2]}, read again as ${seen[name][3]}`);
}
const described = {
  bends: [[4096, -4096], [0, -1]],
  "C minor": [[-3, 1], ["Eb minor"], [11, 1], ["undefined minor"]],
  "A minor": [[0, 1], ["C minor"], [14, 1], ["undefined minor"]],
  "C major": [[0, 0], ["C major"], [14, 0], ["undefined major"]],
};
if (JSON.stringify(seen) !== JSON.stringify(described)) {
  console.error("changed: bends or keys are read or written otherwise now");
  process.exit(1);
}
JS
node look.cjs
