#!/usr/bin/env python3
"""verify_audit.py DIR: checks the chain of an audit log with none of Admit's own code.

Checked: the hash of every line, its link to the line before it, that no sequence number is left out,
and that every segment but the last one ends with a checkpoint. Not checked: the signatures of the
checkpoints, and what the entries say. A tail that was cut leaves a shorter log that is whole: compare
the last line with an entry you know.
"""
import glob, hashlib, json, sys

first = last = prev = None
names = sorted(glob.glob(sys.argv[1] + "/segment-*.jsonl"))
for name in names:
    kind = None
    for number, line in enumerate(open(name, "rb"), 1):
        body, _, end = line.rpartition(b',"hash":"')
        if not line.endswith(b"\n"):
            print(f"{name}:{number}: left out: no line feed yet, or torn by a crash", file=sys.stderr)
            continue
        if end != hashlib.sha256(body).hexdigest().encode() + b'"}\n':
            sys.exit(f"{name}:{number}: DAMAGED: the line was changed")
        entry = json.loads(line)
        seq = entry.get("seq")  # a segment's header and its checkpoint have none
        if (number == 1) != (entry["type"] == "segment") or prev not in (None, entry["prev"]):
            sys.exit(f"{name}:{number}: DAMAGED: the line does not follow the line before it")
        if seq and last and seq != last[0] + 1:
            sys.exit(f"{name}:{number}: DAMAGED: entry {last[0] + 1} was due, this is {seq}")
        prev, first, last = entry["hash"], first or seq, (seq, entry["hash"]) if seq else last
        kind = entry["type"]
    if kind != "checkpoint" and name != names[-1]:
        sys.exit(f"{name}: DAMAGED: no checkpoint closes the segment, and it is not the last one")
if not last:
    sys.exit("there is no entry")
print(f"whole from entry {first} to the last one, which is\n{last[0]}:{last[1]}")
