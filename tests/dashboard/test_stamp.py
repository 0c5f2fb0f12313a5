"""Newer data have a later stamp, the same data the same one."""

from streamlit.testing.v1 import AppTest


def page() -> None:
    import streamlit as st

    from dashboard.components.stamp import stamped

    st.session_state["stamps"] = [
        stamped({"points": points}, key)["stamp"] for key, points in (("a", 1), ("a", 1), ("b", 1), ("a", 2), ("a", 2))
    ]


def test_stamps() -> None:
    first, again, other, newer, newer_again = AppTest.from_function(page).run().session_state["stamps"]
    assert first == again
    assert newer == newer_again
    assert first < other < newer
