"""The dashboard as a person uses it: sign in, see a run stop, mend the mapping, run again and watch, approve what the
guard withheld, find a user and read why. Then every page in four shapes, checked for accessibility.

usage: console.py CONSOLE_URL ADMIN_TOKEN PROVIDER_TABLE_JSON
The console is asked; what it queues is done by `$SCIMFLEET_BIN sync`, another process on the same database.
With SCIMFLEET_IMAGES=FOLDER the pages are kept as pictures there.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

CONSOLE, TOKEN, TABLE = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
IMAGES = os.environ.get("SCIMFLEET_IMAGES")
# The machine may be busy; what takes this long is broken.
PATIENCE_MS = 90_000
SHAPES = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
with open(os.environ["AXE"], encoding="utf-8") as axe:
    AXE = axe.read()


def api(method, path, body=None, tag=None):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    if tag:
        headers["If-Match"] = tag
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{CONSOLE}/api/v1{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return (json.loads(text) if text else None), answer.headers.get("ETag")
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error


def until_ready():
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while True:
        try:
            with urllib.request.urlopen(f"{CONSOLE}/readyz", timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, "the console does not come up"
            time.sleep(0.1)


class Watched:
    """A page whose every complaint and foreign request is a failure."""

    def __init__(self, context):
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints = []
        note = self.complaints.append
        self.page.on("console", lambda one: note(f"{one.type}: {one.text}") if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: note(f"script: {error}"))
        ours = urlsplit(CONSOLE).netloc
        self.page.on("request", lambda one: note(f"asks {one.url}") if urlsplit(one.url).netloc != ours else None)

    def go(self, path):
        answer = self.page.goto(CONSOLE + path)
        assert answer.status == 200, f"{path}: {answer.status}"
        return answer

    def check(self):
        assert not self.complaints, f"{self.page.url}: {self.complaints}"


def sign_in(page, token):
    page.goto(f"{CONSOLE}/sign-in")
    page.get_by_label("Admin token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def accessible(page):
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    words = [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in serious]
    assert not words, f"{page.url} is not accessible: {words}"


def guarded(context):
    """Cookie flags, policy, and forms of others. Complaints are expected here, so nobody watches."""
    page = context.new_page()
    sign_in(page, "not-a-token")
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, TOKEN)
    expect(page).to_have_url(f"{CONSOLE}/")
    session = next(one for one in context.cookies() if one["name"] == "scimfleet_session")
    assert session["httpOnly"] and session["sameSite"] == "Strict", session
    policy = page.goto(f"{CONSOLE}/").headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy, policy
    page.evaluate("document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None, "an inline script ran"
    status = page.evaluate("fetch('/providers/acme/pause', {method: 'POST', body: new URLSearchParams({form_token: 'x'})})"
                           ".then((answer) => answer.status)")
    assert status == 403, status
    html = f"<form method=post action='{CONSOLE}/providers/acme/pause'><input name=form_token value=x></form>"
    page.route("http://elsewhere.test/**", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto("http://elsewhere.test/")
    with page.expect_navigation():
        page.evaluate("document.forms[0].submit()")
    assert api("GET", "/providers/acme")[0]["state"] == "active", "another site paused a provider"
    page.close()


def write_mapping(watched, text):
    watched.page.get_by_label("The body of a Python function").fill(text)


def save_mapping(page):
    page.get_by_role("button", name="Save…").click()
    page.get_by_role("button", name="Save 50-title").click()
    expect(page.get_by_role("status")).to_have_text("50-title is saved.")


def make_broken_mapping(watched):
    page = watched.page
    watched.go("/mappings")
    page.get_by_label("Name", exact=True).fill("50-title")
    page.get_by_role("button", name="Write it").click()
    write_mapping(watched, 'return {"title": \n')
    expect(page.locator("#result")).to_contain_text("^")
    page.get_by_label("For").fill("u007")
    write_mapping(watched, 'return {"active": "yes"}\n')
    expect(page.locator("#result")).to_contain_text("may not be sent to acme")
    expect(page.locator("#result tbody")).to_contain_text("active")
    save_mapping(page)


def change_provider(**change):
    _, tag = api("GET", "/providers/acme")
    TABLE.update(change)
    api("PUT", "/providers/acme", TABLE, tag)


def start_run(watched):
    watched.go("/providers/acme")
    watched.page.get_by_role("button", name="Sync now").click()
    expect(watched.page.locator("#head .state")).to_have_text("queued")
    watched.page.evaluate("window.sameDocument = true")
    command = [os.environ["SCIMFLEET_BIN"], "sync", "acme", "--wait"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def see_it_stop(watched):
    page = watched.page
    worker = start_run(watched)
    expect(page.locator("#head .state")).to_have_text("stopped")
    assert worker.wait() == 3, "a run that stopped on invalid data ends so"
    expect(page.locator("#error")).to_contain_text("active")
    assert page.evaluate("window.sameDocument"), "it was the page that reloaded, not the events"


def mend_the_mapping(watched):
    page = watched.page
    page.locator("#error").get_by_role("link", name="50-title").click()
    write_mapping(watched, 'return {"title": "Engineer"}\n')
    expect(page.locator("#result")).to_contain_text('"title": "Engineer"')
    expect(page.locator("#result")).not_to_contain_text("may not be sent")
    page.get_by_role("button", name="Save…").click()
    expect(page.locator(".ask")).to_contain_text("would be sent anew")
    save_mapping_now = page.get_by_role("button", name="Save 50-title")
    save_mapping_now.click()
    expect(page.get_by_role("status")).to_have_text("50-title is saved.")


def watch_it_fill(watched):
    page = watched.page
    worker = start_run(watched)
    seen, deadline = set(), time.monotonic() + PATIENCE_MS / 1000
    while page.locator("#head .state").inner_text() != "completed":
        seen.add(page.locator("#grids .done").count())
        assert time.monotonic() < deadline, page.locator("#head").inner_text()
        page.wait_for_timeout(50)
    seen.add(page.locator("#grids .done").count())
    assert page.evaluate("window.sameDocument"), "it was the page that reloaded, not the events"
    assert len(seen) > 2, f"the grid did not fill step by step: {seen}"
    assert worker.wait() == 0
    keep(page, "run-1280-light")


def approve_the_removals(watched):
    page = watched.page
    worker = start_run(watched)
    expect(page.locator("#head .state")).to_have_text("completed")
    assert worker.wait() == 4, "something is held"
    watched.go("/holds")
    page.locator("tbody a").first.click()
    keep(page, "hold-1280-light")
    page.locator("summary", has_text="Delete ").click()
    page.get_by_role("button", name="Delete ").click()
    expect(page.locator("h1 .state")).to_have_text("approved")


def find_and_understand(watched):
    page = watched.page
    watched.go("/")
    page.keyboard.press("/")
    page.keyboard.type("u007")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="u007").click()
    expect(page.locator("main")).to_contain_text("in scope")
    expect(page.locator("main")).to_contain_text("in_sync")
    expect(page.locator("main")).to_contain_text("create")
    keep(page, "object-1280-light")
    page.get_by_role("link", name="What would be sent to acme").click()
    expect(page.locator("main")).to_contain_text("Engineer")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(f"{CONSOLE}/runs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def every_page():
    run = api("GET", "/runs?limit=1")[0]["items"][0]["id"]
    user = api("GET", "/objects?q=u007")[0]["items"][0]["id"]
    hold = api("GET", "/holds")[0]["items"][0]["id"]
    return {
        "overview": "/", "providers": "/providers", "provider": "/providers/acme", "runs": "/runs", "run": f"/runs/{run}",
        "holds": "/holds", "hold": f"/holds/{hold}", "objects": "/objects?q=u00", "object": f"/objects/{user}",
        "preview": f"/objects/{user}/preview/acme", "mappings": "/mappings",
        "mapping": "/mappings/edit?name=50-title&object=u007", "parked": "/parked", "leavers": "/leavers",
        "workers": "/workers", "dead-letters": "/dead-letters",
    }


def keep(page, name):
    if IMAGES:
        page.screenshot(path=f"{IMAGES}/{name}.png")


def look_at_all(browser, pages):
    for width, scheme in SHAPES:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        sign_in(context.new_page(), TOKEN)
        watched = Watched(context)
        for name, path in pages.items():
            watched.go(path)
            wide = watched.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} wide at {width}"
            accessible(watched.page)
            keep(watched.page, f"{name}-{width}-{scheme}")
            watched.check()
        watched.page.goto(f"{CONSOLE}/sign-in")
        accessible(watched.page)
        context.close()


def without_scripts(browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, TOKEN)
    page.goto(f"{CONSOLE}/providers/acme")
    page.locator("summary", has_text="Pause acme").click()
    page.get_by_role("button", name="Pause acme").click()
    expect(page.get_by_role("status")).to_have_text("acme is paused.")
    page.get_by_role("button", name="Resume acme").click()
    expect(page.get_by_role("status")).to_have_text("acme is active.")
    context.close()


def main():
    expect.set_options(timeout=PATIENCE_MS)
    until_ready()
    api("PUT", "/providers/acme", TABLE)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        guarded(context)
        watched = Watched(context)
        make_broken_mapping(watched)
        change_provider(mappings=["10-user-default", "10-group-default", "50-title"])
        see_it_stop(watched)
        mend_the_mapping(watched)
        watch_it_fill(watched)
        change_provider(scope={"users": 'user.username < "u3"'})
        approve_the_removals(watched)
        find_and_understand(watched)
        watched.check()
        look_at_all(browser, every_page())
        without_scripts(browser)
        browser.close()


main()
