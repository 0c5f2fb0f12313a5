"""The components' scripts by themselves, in the order in which Streamlit may call them."""

import re

from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT

NETWORK = ROOT / "dashboard" / "components" / "network.js"


def test_a_late_call_with_older_data_changes_nothing(browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.set_content('<div id="parent"><ol class="network"></ol></div>')
    page.evaluate(
        """async ({ source, calls }) => {
            const script = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
            const parentElement = document.querySelector("#parent");
            const block = (name) => ({ name, parameters: "1 k", trainable: 0, count: 1000 });
            for (const [stamp, name] of calls)
              script.default({
                data: { blocks: [block(name)], colours: {}, disabled: false, answered: 0, stamp },
                parentElement,
                setTriggerValue: () => {},
              });
        }""",
        {"source": NETWORK.read_text(encoding="utf-8"), "calls": [[1, "first"], [3, "newest"], [2, "late"]]},
    )
    expect(page.get_by_role("button")).to_have_count(1)
    expect(page.get_by_role("button", name=re.compile("^newest,"))).to_be_visible()
    page.context.close()
