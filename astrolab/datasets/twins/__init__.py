"""Twin surveys: simulated galaxies with known truth and a known shift, in the real surveys' own file formats.

::

    knobs ─→ population (seds ─→ photometry) ─→ structure ─→ render (profiles) ─→ measurement ─→ catalogue
                                     simulation: all of it, block by block ─→ survey_files: HDF5
"""

from __future__ import annotations

from astrolab.datasets.twins.knobs import HscTwinKnobs
from astrolab.datasets.twins.simulation import simulate_arrays, simulate_blocks
from astrolab.datasets.twins.survey_files import simulate_survey, twin_knobs

__all__ = ["HscTwinKnobs", "simulate_arrays", "simulate_blocks", "simulate_survey", "twin_knobs"]
