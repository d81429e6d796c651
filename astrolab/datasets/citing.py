"""Whom to thank: the citations of a survey, of its members, and of the survey it is a twin of."""

from __future__ import annotations

from collections.abc import Iterator

from astrolab.datasets.manifests import Manifest, load_manifest


def cite(manifest: Manifest | str) -> str:
    """Return sentences for a paper's acknowledgements, then the BibTeX of every work named there, each once.

    A recipe brings the citations of its members, a twin those of its original.
    """
    surveys = list(_all_thanked(load_manifest(manifest)))
    texts = dict.fromkeys(_sentence(survey) for survey in surveys)
    entries = dict.fromkeys(entry for survey in surveys for entry in _entries(survey.citation.bibtex))
    parts = [" ".join(filter(None, texts)), *entries]
    return "\n\n".join(filter(None, parts)) or f"The manifest of {surveys[0].name!r} names no work to cite."


def cited_works(manifest: Manifest | str) -> tuple[str, ...]:
    """Return the reference keys of a survey, of its members and of its original, e.g. ``("arXiv:2410.00271",)``."""
    return tuple(dict.fromkeys(key for survey in _all_thanked(load_manifest(manifest)) for key in survey.citation.keys))


def _all_thanked(manifest: Manifest) -> Iterator[Manifest]:
    yield manifest
    others = manifest.recipe.members if manifest.recipe else (manifest.twin.of,) if manifest.twin else ()
    for name in others:
        yield from _all_thanked(load_manifest(name))


def _sentence(survey: Manifest) -> str:
    if survey.twin:
        return f"The galaxies of {survey.title!r} are simulated by astrolab; it stands for {survey.twin.of!r}."
    return survey.citation.text.strip()


def _entries(bibtex: str) -> list[str]:
    return [("@" + entry).strip() for entry in ("\n" + bibtex.strip()).split("\n@")[1:]]
