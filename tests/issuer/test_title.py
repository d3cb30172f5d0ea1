"""Titles break between words, leave nobody alone and lose nothing."""

from __future__ import annotations

import itertools
import time

import pytest
import rjieba
from hypothesis import given
from hypothesis import strategies as st

from issuer.rendering.fonts import text_width
from issuer.rendering.title import title_lines

WIDEST = 19.0
PLACES = ["滇水湖", "云岭彝族傣族自治县", "春城市云山区", "㐂𠮷河流域", "示例大道"]
WORKS = [
    "湿地生态修复工程",
    "第二示范小学新建项目",
    "山水林田湖草沙一体化保护和系统治理工程（二期）",
    "防洪治理工程",
]
PAPERS = ["初步设计", "可行性研究报告", "可行性研究报告及初步设计概算", "年产12万吨项目环境影响报告书"]
KINDS = ["批复", "复函", "通知", "函"]


@pytest.mark.parametrize("parts", list(itertools.product(PLACES, WORKS, PAPERS, KINDS)), ids="".join)
def test_a_title_breaks_between_words_and_leaves_nobody_alone(parts: tuple[str, ...]) -> None:
    place, works, papers, kind = parts
    title = f"关于{place}{works}{papers}的{kind}"
    lines = title_lines(title, WIDEST)
    assert "".join(lines) == title
    assert all(text_width(line) <= WIDEST for line in lines)
    ends = set(itertools.accumulate(len(word) for word in rjieba.cut(title)))
    assert set(itertools.accumulate(map(len, lines))) <= ends
    assert all(len(line) >= 4 for line in lines)
    assert all(line[0] not in "的）》，、" and line[-1] not in "（《" for line in lines)
    assert not any(line.endswith(("关于", "的", "和", "及")) for line in lines)
    assert lines[-1].endswith(f"的{kind}")
    assert len(lines) <= -(-text_width(title) // (WIDEST - 4))


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("关于滇水湖湿地生态修复工程初步设计的批复", ["关于滇水湖湿地生态", "修复工程初步设计的批复"]),
        (
            "关于《春城市国土空间总体规划（2021—2035年）》的批复",
            ["关于《春城市国土空间总体规划", "（2021—2035年）》的批复"],
        ),
        ("批复", ["批复"]),
    ],
)
def test_titles_as_a_secretary_would_set_them(title: str, lines: list[str]) -> None:
    assert title_lines(title, WIDEST) == lines


def test_a_run_that_no_line_holds_is_broken_anywhere() -> None:
    lines = title_lines("W" * 90, WIDEST)
    assert "".join(lines) == "W" * 90
    assert all(text_width(line) <= WIDEST for line in lines)


@given(st.text("关于的批复和（）《》、，1aB ·—𠮷㐂河湖春城市", min_size=1, max_size=60))
def test_no_character_is_lost_whatever_the_title(title: str) -> None:
    lines = title_lines(title, WIDEST)
    assert "".join("".join(lines).split()) == "".join(title.split())


def test_a_very_long_title_takes_no_time() -> None:
    start = time.thread_time()
    title_lines("关于" + "示例工程建设" * 300 + "的批复", WIDEST)
    assert time.thread_time() - start < 2
