import numpy as np
import torch

from astrolab.trainers.augmentation import N_DIHEDRAL, turn_and_mirror


def test_the_codes_are_the_eight_symmetries_of_a_square():
    image = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    codes = torch.arange(N_DIHEDRAL)
    turned = turn_and_mirror(torch.from_numpy(image).expand(N_DIHEDRAL, 2, 3, 3), codes=codes)
    expected = {np.rot90(view, k).tobytes() for view in (image, image[::-1]) for k in range(4)}
    assert {turned[k, 0].numpy().tobytes() for k in range(N_DIHEDRAL)} == expected
    assert torch.equal(turned[:, 0], turned[:, 1])
    assert torch.equal(turned[0, 0], torch.from_numpy(image))
