"""The pages themselves, made of what they are handed. They do not decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vigie.ui.html import Child, Html, element, filled, fragment
from vigie.ui.layout import field, form, heading, page, problem
from vigie.ui.sign_in.urls import target_named
from vigie.ui.texts import Texts

PASSWORD_PATH = "/signin/password"  # noqa: S105
CONSENT_PATH = "/signin/consent"
DEVICE_PATH = "/devicelogin"

ALLOW, REFUSE, OTHER_ACCOUNT = "allow", "refuse", "other"

HANDING_OVER_SCRIPT = "document.forms[0].submit()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an errand is about, as pages name it. `target` is where the answer goes, None for a device."""

    application: str
    tenant: str
    permissions: tuple[str, ...]
    target: str | None
    wants_identity: bool = False
    wants_refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FormError:
    """Why somebody sees the same page again: as it is logged, and in which words it is told."""

    name: str
    detail: str
    text: str
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """What every page is made with: its language, and the host that people see in their browser."""

    texts: Texts
    host: str

    def page(self, title: str, *children: Child, is_error: bool = False) -> Html:
        """A page in this frame."""
        return page(self.texts, title, *children, host=self.host, is_error=is_error)


def sign_in_page(
    frame: PageContext,
    asked: Asked,
    sealed: str,
    *,
    user_name: str = "",
    trouble: FormError | None = None,
    cancel_url: str | None = None,
) -> Html:
    """Where somebody proves who they are."""
    texts = frame.texts
    lead = texts.device_sign_in if asked.target is None else texts.sign_in_for
    return frame.page(
        texts.sign_in,
        problem(texts.not_signed_in, trouble.text) if trouble else None,
        heading(texts.sign_in, filled(lead, application=_name(asked.application))),
        _organisation(texts, asked),
        form(
            PASSWORD_PATH,
            sealed,
            field(
                "username",
                texts.user_name,
                hint=texts.user_name_hint,
                type="text",
                value=user_name,
                inputmode="email",
                autocomplete="username",
                autocapitalize="none",
                spellcheck="false",
                autofocus=not trouble and not user_name,
            ),
            field(
                "password",
                texts.password,
                type="password",
                autocomplete="current-password",
                autofocus=bool(not trouble and user_name),
            ),
            element(
                "div",
                element("button", texts.sign_in, type="submit"),
                element("a", texts.cancel, href=cancel_url, class_="quiet") if cancel_url else None,
                class_="deeds",
            ),
        ),
        is_error=trouble is not None,
    )


def consent_page(frame: PageContext, asked: Asked, sealed: str, *, user: str) -> Html:
    """Where somebody sees which application asks for what, and says yes or no."""
    texts = frame.texts
    note = texts.device_consent_note if asked.target is None else texts.consent_note
    return frame.page(
        texts.consent.format(application=asked.application),
        heading(filled(texts.consent, application=_name(asked.application))),
        element("p", filled(texts.signed_in_as, user=_name(user)), class_="account"),
        _organisation(texts, asked),
        _wants(texts, asked),
        element("p", texts.device_warning, class_="warning") if asked.target is None else None,
        element("p", filled(texts.goes_to, target=_name(asked.target))) if asked.target else None,
        element("p", note),
        form(
            CONSENT_PATH,
            sealed,
            _choice(ALLOW, texts.allow),
            _choice(REFUSE, texts.refuse, class_="second"),
            _choice(OTHER_ACCOUNT, texts.other_account, class_="quiet"),
            class_="deeds",
        ),
    )


def device_page(frame: PageContext, sealed: str, *, trouble: FormError | None = None) -> Html:
    """Where somebody enters the code that a device shows."""
    texts = frame.texts
    return frame.page(
        texts.device,
        problem(texts.device_code_refused, trouble.text) if trouble else None,
        heading(texts.device, texts.device_intro),
        element("p", texts.device_warning, id="warning", class_="warning"),
        form(
            DEVICE_PATH,
            sealed,
            field(
                "user_code",
                texts.device_code,
                hint=texts.device_code_hint,
                type="text",
                class_="code",
                autocomplete="off",
                autocapitalize="characters",
                spellcheck="false",
                autofocus=not trouble,
            ),
            element("div", element("button", texts.device_go_on, type="submit"), class_="deeds"),
        ),
        is_error=trouble is not None,
    )


def device_done_page(frame: PageContext, application: str, *, allowed: bool) -> Html:
    """What has become of a device."""
    texts = frame.texts
    title = texts.device_allowed if allowed else texts.device_refused
    note = texts.device_allowed_note if allowed else texts.device_refused_note
    return frame.page(
        title,
        heading(title),
        element("p", filled(note, application=_name(application))),
        element("p", element("a", texts.device_again, href=DEVICE_PATH)),
    )


def handing_over_page(frame: PageContext, target: str, fields: Mapping[str, str]) -> Html:
    """A form that goes to the application by itself, and by its button where scripts do not run."""
    texts = frame.texts
    hidden = [element("input", type="hidden", name=name, value=value) for name, value in fields.items()]
    button = element("div", element("button", texts.go_on, type="submit"), class_="deeds")
    return frame.page(
        texts.handing_over,
        heading(texts.handing_over, texts.handing_over_note),
        element("p", filled(texts.goes_to, target=_name(target_named(target)))),
        element("form", *hidden, button, method="post", action=target),
        element("script", Html(HANDING_OVER_SCRIPT)),
    )


def stopped_page(
    frame: PageContext,
    title: str,
    note: str,
    *,
    message: str | None = None,
    facts: Sequence[tuple[str, str]] = (),
) -> Html:
    """Why it cannot go on here. `message` is in English, as the application's people find it elsewhere too."""
    shown = [fragment(element("dt", name), element("dd", value)) for name, value in facts]
    return frame.page(
        title,
        heading(title),
        element("p", note),
        element("p", message, lang="en", class_="message") if message else None,
        element("dl", *shown) if shown else None,
        is_error=True,
    )


def _name(name: str) -> Html:
    return element("strong", name)


def _organisation(texts: Texts, asked: Asked) -> Html:
    return element("p", texts.organisation, " ", _name(asked.tenant), class_="organisation")


def _wants(texts: Texts, asked: Asked) -> Html:
    wants: list[Html] = [element("li", _permission(texts, name)) for name in asked.permissions]
    if asked.wants_identity:
        wants.append(element("li", texts.wants_identity))
    if asked.wants_refresh:
        note = element("span", texts.refresh_note, class_="hint")
        wants.append(element("li", texts.wants_refresh, ", ", note))
    if not wants:
        return element("p", texts.wants_nothing)
    return fragment(element("h2", texts.wants), element("ul", *wants, class_="wants"))


def _permission(texts: Texts, name: str) -> Html:
    words = texts.permissions.get(name)
    code = element("code", name)
    return filled(texts.other_permission, permission=code) if words is None else fragment(words, " ", code)


def _choice(value: str, label: str, class_: str | None = None) -> Html:
    return element("button", label, type="submit", name="choice", value=value, class_=class_)
