"""Sentences of published papers, each with what the ledger says of it: supported, not supported or undecided.

`registry` holds the sentences and which models on which galaxies they compare, `checking` puts them to the test.
"""

from astrolab.claims.checking import VERDICTS, check_claims
from astrolab.claims.registry import CLAIMS, PROTOCOLS, Claim

__all__ = ["CLAIMS", "PROTOCOLS", "VERDICTS", "Claim", "check_claims"]
