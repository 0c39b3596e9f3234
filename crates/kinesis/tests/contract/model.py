"""Compares model.txt with botocore's copy of the service model.

    python3 model.py            compare; exit 0 if equal, 1 if not, 77 if botocore is missing or another version
    python3 model.py --write    write model.txt

One line an operation: its request and its answer with all that is in them, members and enum
values sorted, because their order in the model means nothing.
"""

import pathlib
import sys

FIXTURE = pathlib.Path(__file__).with_name("model.txt")


def bounds(shape):
    if "min" not in shape and "max" not in shape:
        return ""
    return f"[{shape.get('min', '')}..{shape.get('max', '')}]"


def written(shapes, name):
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        required = shape.get("required", [])
        members = sorted(shape["members"].items())
        inner = [f"{key}{'!' * (key in required)}:{written(shapes, member['shape'])}" for key, member in members]
        return f"{name}{{{','.join(inner)}}}"
    if kind == "list":
        return f"list<{written(shapes, shape['member']['shape'])}>{bounds(shape)}"
    if kind == "map":
        inner = f"{written(shapes, shape['key']['shape'])},{written(shapes, shape['value']['shape'])}"
        return f"map<{inner}>{bounds(shape)}"
    text = kind + bounds(shape)
    if "pattern" in shape:
        text += f"~{shape['pattern']}~"
    if "enum" in shape:
        text += f"({'|'.join(sorted(shape['enum']))})"
    return text


def fixture(botocore):
    model = botocore.loaders.create_loader().load_service_model("kinesis", "service-2", api_version="2013-12-02")
    lines = []
    for name, operation in sorted(model["operations"].items()):
        sides = [written(model["shapes"], operation[side]["shape"]) if side in operation else "none" for side in ("input", "output")]
        lines.append(f"{name} {sides[0]} -> {sides[1]}")
    return [version_line(botocore)] + lines


def version_line(botocore):
    return f"# botocore {botocore.__version__}, Amazon Kinesis 2013-12-02; written by model.py"


def main():
    try:
        import botocore
        import botocore.loaders
    except ImportError as error:
        print(error)
        return 77
    lines = fixture(botocore)
    if sys.argv[1:] == ["--write"]:
        FIXTURE.write_text("\n".join(lines) + "\n")
        return 0
    known = FIXTURE.read_text().splitlines()
    if known[0] != lines[0]:
        differing = len(set(known[1:]) ^ set(lines[1:]))
        print(f"this is botocore {botocore.__version__}, of which {differing} lines differ from: {known[0][2:]}")
        return 77
    if known == lines:
        return 0
    for line in sorted(set(known) ^ set(lines)):
        print("-" if line in known else "+", line)
    return 1


sys.exit(main())
