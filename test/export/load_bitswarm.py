"""Reads a network that `coordinator export` wrote (SPEC.md, annex 12) and computes it in PyTorch, in floats."""

import json, sys
import numpy as np, torch, torch.nn.functional as F


def load(path):
    raw = open(path, "rb").read()
    at = 8 + int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:at])
    model, tensors = json.loads(head.pop("__metadata__")["model"]), {}
    for name, of in head.items():
        (begin, end), kind = of["data_offsets"], {"U8": np.uint8, "F32": np.float32}[of["dtype"]]
        tensors[name] = np.frombuffer(raw[at + begin : at + end], kind).reshape(of["shape"])
    return model, tensors


def weight(node, t, channels):  # [out][in][kh][kw]
    if "weight" in t:
        return torch.tensor(t["weight"])
    bits = np.unpackbits(t.get("signs", t.get("planes")), axis=-1, bitorder="little")[..., :channels]
    b, c, form = 1 - 2 * bits.astype(np.float32), t["c"], node.get("weight", {})
    if node["op"] == "rbconv":
        return torch.tensor(np.moveaxis(b, -1, 1) * c)
    if form["kind"] == "ternary":
        w = np.where(b[1] < 0, 0, np.where(b[0] > 0, c[0], -c[1]))
    elif form["kind"] == "linear":
        w = sum(b[m] * c[m].reshape(-1, 1, 1, 1) for m in range(len(b)))
    else:  # a table; of the layer's, or each output channel's own
        at = sum(bits[m].astype(np.int64) << m for m in range(len(b)))
        w = np.stack([(c[o] if form["scale"] == "out" else c)[at[o]] for o in range(len(at))])
    return torch.tensor(np.moveaxis(w, -1, 1).astype(np.float32))


def quantise(x, kind, t={}, bits=0, **_):
    if kind == "bits":
        return torch.round(x.clip(0, 1) * (2**bits - 1)) / (2**bits - 1)
    if kind == "bases":
        return sum(float(s) * quantise((x + float(v)).clip(0, 1) - 0.5, "sign") for v, s in zip(t["shift"], t["scale"]))
    return torch.where(x < 0, -1.0, 1.0)  # sign(0) = sign(-0) = +1


def output(model, tensors, x):  # [n][c][h][w], normalised as model["input"] says
    maps = []
    for node in model["nodes"]:
        op, t = node["op"], {role: tensors[name] for role, name in node["tensors"].items()}
        f = {role: torch.tensor(v) for role, v in t.items()}
        x, slide = maps[node["input"]] if maps else x, {k: node.get(k) for k in ("stride", "padding")}
        if op in ("conv", "rbconv", "qconv"):
            groups = node.get("groups", 1)
            w = weight(node, t, x.shape[1] // groups)
            x = F.conv2d(quantise(x, "sign") if op == "rbconv" else x, w, groups=groups, **slide)
        elif op == "quantise":
            x = quantise(x, t=t, **node["rule"])
        elif op == "gamma":
            for role, shape in (("c", (-1, 1, 1)), ("h", (-1, 1)), ("w", (-1,))):
                x = x * f[role].reshape(shape) if role in f else x
        elif op == "inputscale":
            x = x * F.avg_pool2d(maps[node["other"]].abs().mean(1, keepdim=True), node["kernel"], **slide)
        elif op == "batchnorm":
            x = F.batch_norm(x, f["mean"], f["variance"], f["weight"], f["bias"], eps=node["epsilon"])
        elif op == "activation":
            x = F.prelu(x, f["weight"]) if f else {"relu": F.relu, "hardtanh": F.hardtanh}[node["kind"]](x)
        elif op == "pool":
            x = {"max": F.max_pool2d, "avg": F.avg_pool2d}[node["kind"]](x, node["kernel"], **slide)
        elif op == "globalpool":
            x = x.mean((2, 3), keepdim=True)
        elif op == "linear":
            x = F.linear(x.flatten(1), f["weight"], f["bias"])[..., None, None]
        elif op == "add":
            x = x + maps[node["other"]]
        maps.append(x)
    return maps[model["output"]]


def forward(model, tensors, x):  # logits [n][classes]
    return output(model, tensors, x).flatten(1)


def respond(model, tensors, exemplar, searches):  # of a tracker: crops [1][3][h][w] and [n][3][h][w], any sides
    z, x = (output(model, tensors, crops) for crops in (exemplar, searches))
    return model["tracking"]["response"]["scale"] * F.conv2d(x, z)


def pictures(values, h, w, c):
    return torch.tensor(values.reshape(-1, h, w, c).transpose(0, 3, 1, 2))


if __name__ == "__main__":  # IMAGES MODEL…: float32 [n][h][w][c], normalised; prints what each model answers as JSON
    values = np.fromfile(sys.argv[1], np.float32)
    for path in sys.argv[2:]:
        model, tensors = load(path)
        sides = [model["input"][side] for side in "hwc"]
        if "tracking" in model:  # the exemplar stands before the searches
            side = model["tracking"]["exemplar"]
            exemplar, searches = np.split(values, [side * side * 3])
            answer = respond(model, tensors, pictures(exemplar, side, side, 3), pictures(searches, *sides))
        else:
            answer = forward(model, tensors, pictures(values, *sides))
        print(json.dumps(answer.tolist()))
