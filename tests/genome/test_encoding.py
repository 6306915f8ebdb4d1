import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from findna.genome.encoding import BLANK, N, decode, encode, reverse_complement


def test_ids_are_those_of_the_published_checkpoint():
    assert encode("ACGNT").tolist() == [0, 1, 2, 3, 4]


def test_case_rna_and_other_codes():
    assert decode(encode("acgtnuURYKMswbdhvX-*")) == "ACGTNTT" + "N" * 13
    assert encode(b"AC").dtype == np.uint8
    assert encode("Ａé").tolist() == [N, N]


def test_reverse_complement():
    assert decode(reverse_complement(encode("AACGTN"))) == "NACGTT"
    assert reverse_complement(np.array([BLANK], dtype=np.uint8)).tolist() == [BLANK]


@given(st.text(alphabet="ACGTN", max_size=50))
def test_reverse_complement_twice_is_the_identity(text):
    assert decode(reverse_complement(reverse_complement(encode(text)))) == text
