"""Results as tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from benchmarks.zoo.markdown import share, table, zoo_of
from benchmarks.zoo.results import Result

#: What specs have no op for, by what a refusal says where it meets it. All else that is refused is
#: a fault of the reader's.
ABSENT: Final = {
    "one learned number for all channels": "with one learned .* for all channels",
    "a kernel that is computed of weights": "whose kernel is computed of weights alone",
    "a kernel that is computed of the image": r"conv2d whose weight is no parameter but computed",
    "padding by reflection": "mode reflect",
    "a convolution along the channels": r"aten\.conv1d",
    "a softmax over positions, without heads": r"softmax\.int over axis \d of \(n, 1, h·w\)",
    "a norm over an image's pixels": r"aten\.linalg_vector_norm",
    "a norm that subtracts no mean, over channels": r"aten\.var\.dim",
    "an image of one channel as a factor of all": r"multiply: .*input 2 of shape \(\d+, \d+, 1\)",
    "nearest pixels as PyTorch takes them": "nearest-exact is read at all sizes",
}
_NAMED = 4


def absent(result: Result) -> str | None:
    """What a network has that specs have no op for."""
    if result.get("failed") not in ("reading", "recovering"):
        return None
    said = "\n".join(result["why"])
    return next((what for what, pattern in ABSENT.items() if re.search(pattern, said)), None)


def said(result: Result) -> str:
    """A result in a line."""
    if "failed" in result:
        return f"failed ({result['failed']}): {result['why'][0]}"
    seconds = result["seconds"]
    return (
        f"{result['lines']} lines, {result['items']} items of {result['layers']} layers; "
        f"read in {seconds['read']:.1f} s, recovered in {seconds['recovered']:.1f}"
    )


def written(found: Sequence[Result]) -> str:
    """How many networks of each zoo are imported, what comes out, and why the others are not."""
    zoos = list(dict.fromkeys(zoo_of(one) for one in found))
    rows = [_row(f"{zoo}", [one for one in found if zoo_of(one) == zoo]) for zoo in zoos]
    if len(rows) > 1:
        rows.append(_row("all", found))
    head = [
        "", "networks", "imported", "of those whose ops there are", "layers", "lines", "items",
        "tokens", "seconds",
    ]  # fmt: skip
    tables = [table(head, rows)]
    by_hand = [one for one in found if "hand" in one]
    if by_hand:
        tables.append(_beside(by_hand))
    public = [one for one in found if "published" in one]
    if public:
        tables.append(_programs(public))
    failed = [one for one in found if "failed" in one]
    if failed:
        tables.append(table(["not imported", "", "for example"], _reasons(failed)))
    return "\n\n".join(tables)


def _row(name: str, found: Sequence[Result]) -> list[str]:
    done = [one for one in found if "failed" not in one]
    known = len(found) - sum(absent(one) is not None for one in found)
    times = [one["seconds"]["recovered"] for one in done]
    middle = [f"{median(one[word] for one in done):.0f}" if done else "" for word in
              ("layers", "lines", "items", "tokens")]  # fmt: skip
    spent = f"{median(times):.1f}, at most {max(times):.1f}" if times else ""
    return [
        name, str(len(found)), share(len(done), len(found)), share(len(done), known), *middle,
        spent,
    ]  # fmt: skip


def _beside(found: Sequence[Result]) -> str:
    """Recovered specs beside those that were written by hand, summed up."""
    rows = []
    for word in ("lines", "items", "tokens"):
        ours = sum(one[word] for one in found)
        theirs = sum(one["hand"][word] for one in found)
        shorter = sum(one[word] <= one["hand"][word] for one in found)
        rows.append([word, str(ours), str(theirs), share(shorter, len(found))])
    head = [f"{len(found)} networks that are bundled specs", "recovered", "by hand", "not longer"]
    return table(head, rows)


def _programs(found: Sequence[Result]) -> str:
    """Lines of generated programs beside those of the libraries' files."""
    rows = []
    for zoo in dict.fromkeys(zoo_of(one) for one in found):
        of_zoo = [one for one in found if zoo_of(one) == zoo]
        ratios = [one["model"] / one["published"] for one in of_zoo]
        shorter = sum(ratio <= 1 for ratio in ratios)
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        sums = [str(sum(one[word] for one in of_zoo)) for word in ("model", "published")]
        rows.append([zoo, *sums, spread, share(shorter, len(of_zoo))])
    return table(["model.py, lines of code", "generated", "public", "ratio", "not longer"], rows)


def _reasons(failed: Iterable[Result]) -> list[list[str]]:
    kinds: dict[str, list[Result]] = {}
    for one in failed:
        what = absent(one)
        kind = f"no op for {what}" if what else f"{one['failed']}: {_shortened(one['why'][0])}"
        kinds.setdefault(kind, []).append(one)
    made = []
    for kind, alike in sorted(kinds.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        names = [str(one["network"]) for one in alike]
        more = " …" if len(names) > _NAMED else ""
        made.append([kind, str(len(alike)), ", ".join(names[:_NAMED]) + more])
    return made


def _shortened(why: str) -> str:
    """A reason without the place where it was met first."""
    return why.partition(": ")[2][:100].replace("|", "/") or why[:100]
