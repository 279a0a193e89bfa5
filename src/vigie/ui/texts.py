"""What the pages say, in every language they speak. A place in braces is filled with a value.

In French a blank that does not break stands before what has two parts, such as a colon.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Everything the pages say, in one language."""

    language: str
    own_name: str
    error_in_title: str
    organisation: str
    address: str

    sign_in: str
    sign_in_for: str
    user_name: str
    user_name_hint: str
    password: str
    cancel: str
    not_signed_in: str
    wrong_credentials: str
    credentials_missing: str
    too_busy: str

    consent: str
    signed_in_as: str
    wants: str
    wants_nothing: str
    permissions: Mapping[str, str]
    other_permission: str
    wants_identity: str
    wants_refresh: str
    refresh_note: str
    goes_to: str
    consent_note: str
    allow: str
    refuse: str
    other_account: str

    device: str
    device_intro: str
    device_code: str
    device_code_hint: str
    device_warning: str
    device_go_on: str
    device_code_refused: str
    device_code_wrong: str
    device_sign_in: str
    device_consent_note: str
    device_allowed: str
    device_allowed_note: str
    device_refused: str
    device_refused_note: str
    device_again: str

    handing_over: str
    handing_over_note: str
    go_on: str

    cannot_go_on: str
    refused_request: str
    stale: str
    stale_note: str
    foreign: str
    foreign_note: str
    open_to_others: str
    open_to_others_note: str
    trouble: str
    trouble_note: str
    facts: str
    code: str
    request: str
    moment: str

    landing: str
    landing_note: str
    landing_incidents: str
    landing_reference: str
    landing_openapi: str
    landing_readiness: str
    landing_independent: str


ENGLISH = Texts(
    language="en",
    own_name="Vigie",
    error_in_title="Error",
    organisation="Organisation",
    address="You are at {host}. This server belongs to your organisation, not to Microsoft.",
    sign_in="Sign in",
    sign_in_for="To go on to {application}",
    user_name="User name",
    user_name_hint="Like an e-mail address, such as ana@contoso.example",
    password="Password",  # noqa: S106
    cancel="Cancel",
    not_signed_in="You are not signed in",
    wrong_credentials=(
        "The user name and the password do not go together, or this account has to wait. Check both; after "
        "several attempts, wait a few minutes before you try again."
    ),
    credentials_missing="Enter your user name and your password.",
    too_busy="Too many people are signing in right now. Try again in {seconds} s.",
    consent="{application} asks for access",
    signed_in_as="Signed in as {user}",
    wants="It would be able to:",
    wants_nothing="It asks for nothing but your sign-in.",
    permissions={
        "Incident.Read": "Read incidents you may see",
        "Incident.ReadWrite": "Read and change incidents you may see",
        "SecurityIncident.Read.All": "Read incidents you may see",
        "SecurityIncident.ReadWrite.All": "Read and change incidents you may see",
        "SecurityAlert.Read.All": "Read alerts you may see",
        "SecurityAlert.ReadWrite.All": "Read and change alerts you may see",
        "User.Read": "Read your name and user name",
    },
    other_permission="Use the permission {permission}",
    wants_identity="Know who you are",
    wants_refresh="Keep this access while you are away",
    refresh_note="until it is not used for a while, or somebody withdraws it",
    goes_to="You will be sent to {target}.",
    consent_note="Allow this only if you know this application. It never sees your password.",
    allow="Allow",
    refuse="Do not allow",
    other_account="Use another account",
    device="Connect a device",
    device_intro="Enter the code that your device or program shows.",
    device_code="Code",
    device_code_hint="Eight letters; capitals, blanks and dashes do not matter",
    device_warning=(
        "Only go on if you started this yourself on another device, and if nobody sent you the code. "
        "Whoever sends you a code wants to get in under your name."
    ),
    device_go_on="Go on",
    device_code_refused="This code does not work",
    device_code_wrong=(
        "It is not known, was already used, or has expired. Check it, or get a new one on the device."
    ),
    device_sign_in="To go on to {application} on another device",
    device_consent_note="Allow this only if you know this application, and have the device before you.",
    device_allowed="The device is connected",
    device_allowed_note="{application} goes on by itself. You can close this page.",
    device_refused="The device got nothing",
    device_refused_note=(
        "You can close this page. If somebody sent you the code, tell the people who look after security in "
        "your organisation."
    ),
    device_again="Enter another code",
    handing_over="Back to the application",
    handing_over_note="If nothing happens, press the button.",
    go_on="Go on",
    cannot_go_on="This sign-in cannot go on",
    refused_request="What the application asked for was refused. Whoever runs the application needs the following:",
    stale="This page is no longer valid",
    stale_note=(
        "It was open for too long, has been used already, or was opened in another browser. Go back to the "
        "application and start again there. Cookies have to be allowed for this address."
    ),
    foreign="This came from somewhere else",
    foreign_note=(
        "Another site sent this form in your name, and nothing was done. If you wanted to sign in, go back to "
        "the application and start again there."
    ),
    open_to_others="This address is not protected",
    open_to_others_note=(
        "It begins with http://, so others on the way could read your password. Do not enter it here. Ask "
        "whoever runs this server for an address that begins with https://."
    ),
    trouble="This does not work at the moment",
    trouble_note="Nothing was lost. Wait a moment, then go back to the application and start again there.",
    facts="For whoever runs the application",
    code="Code",
    request="Request",
    moment="Time",
    landing="Vigie is running",
    landing_note=(
        "This server answers programs written for the Microsoft Defender XDR incidents API. They need a token; "
        "this page and the documents below do not."
    ),
    landing_incidents="Incidents:",
    landing_reference="API reference",
    landing_openapi=": the same for programs (OpenAPI)",
    landing_readiness=": whether the server can answer",
    landing_independent="Vigie is not affiliated with or endorsed by Microsoft.",
)

FRENCH = Texts(
    language="fr",
    own_name="Vigie",
    error_in_title="Erreur",
    organisation="Organisation",
    address="Vous êtes sur {host}. Ce serveur est celui de votre organisation, pas de Microsoft.",
    sign_in="Se connecter",
    sign_in_for="Pour continuer vers {application}",
    user_name="Nom d’utilisateur",
    user_name_hint="De la forme d’une adresse, comme ana@contoso.example",
    password="Mot de passe",  # noqa: S106
    cancel="Annuler",
    not_signed_in="La connexion n’a pas abouti",
    wrong_credentials=(
        "Le nom d’utilisateur et le mot de passe ne vont pas ensemble, ou ce compte doit patienter. Vérifiez "
        "les deux ; après plusieurs essais, attendez quelques minutes avant de recommencer."
    ),
    credentials_missing="Saisissez votre nom d’utilisateur et votre mot de passe.",
    too_busy="Trop de personnes se connectent en ce moment. Réessayez dans {seconds} s.",
    consent="{application} demande un accès",
    signed_in_as="Connexion en tant que {user}",
    wants="Elle pourrait :",
    wants_nothing="Elle ne demande rien d’autre que votre connexion.",
    permissions={
        "Incident.Read": "Lire les incidents que vous pouvez voir",
        "Incident.ReadWrite": "Lire et modifier les incidents que vous pouvez voir",
        "SecurityIncident.Read.All": "Lire les incidents que vous pouvez voir",
        "SecurityIncident.ReadWrite.All": "Lire et modifier les incidents que vous pouvez voir",
        "SecurityAlert.Read.All": "Lire les alertes que vous pouvez voir",
        "SecurityAlert.ReadWrite.All": "Lire et modifier les alertes que vous pouvez voir",
        "User.Read": "Lire votre nom et votre nom d’utilisateur",
    },
    other_permission="Utiliser l’autorisation {permission}",
    wants_identity="Savoir qui vous êtes",
    wants_refresh="Garder cet accès en votre absence",
    refresh_note="jusqu’à ce qu’il ne serve plus pendant un temps, ou que quelqu’un le retire",
    goes_to="La suite se passera sur {target}.",
    consent_note="N’autorisez que si vous connaissez cette application. Elle ne voit jamais votre mot de passe.",
    allow="Autoriser",
    refuse="Refuser",
    other_account="Utiliser un autre compte",
    device="Connecter un appareil",
    device_intro="Saisissez le code qu’affiche votre appareil ou votre programme.",
    device_code="Code",
    device_code_hint="Huit lettres ; majuscules, espaces et tirets ne comptent pas",
    device_warning=(
        "Ne continuez que si vous avez lancé cela vous-même sur un autre appareil, et si personne ne vous a "
        "envoyé le code. Qui vous envoie un code veut entrer sous votre nom."
    ),
    device_go_on="Continuer",
    device_code_refused="Ce code ne marche pas",
    device_code_wrong=(
        "Il est inconnu, a déjà servi ou a expiré. Vérifiez-le, ou demandez-en un nouveau sur l’appareil."
    ),
    device_sign_in="Pour continuer vers {application} sur un autre appareil",
    device_consent_note=(
        "N’autorisez que si vous connaissez cette application et que l’appareil est devant vous."
    ),
    device_allowed="L’appareil est connecté",
    device_allowed_note="{application} continue toute seule. Vous pouvez fermer cette page.",
    device_refused="L’appareil n’a rien obtenu",
    device_refused_note=(
        "Vous pouvez fermer cette page. Si quelqu’un vous a envoyé le code, prévenez les personnes chargées "
        "de la sécurité dans votre organisation."
    ),
    device_again="Saisir un autre code",
    handing_over="Retour à l’application",
    handing_over_note="S’il ne se passe rien, appuyez sur le bouton.",
    go_on="Continuer",
    cannot_go_on="Cette connexion ne peut pas continuer",
    refused_request=(
        "Ce que l’application a demandé a été refusé. La personne qui s’en occupe a besoin de ce qui suit :"
    ),
    stale="Cette page n’est plus valable",
    stale_note=(
        "Elle est restée ouverte trop longtemps, a déjà servi, ou a été ouverte dans un autre navigateur. "
        "Revenez à l’application et recommencez. Les cookies doivent être acceptés pour cette adresse."
    ),
    foreign="Cela vient d’ailleurs",
    foreign_note=(
        "Un autre site a envoyé ce formulaire en votre nom, et rien n’a été fait. Si vous vouliez vous "
        "connecter, revenez à l’application et recommencez."
    ),
    open_to_others="Cette adresse n’est pas protégée",
    open_to_others_note=(
        "Elle commence par http://, et d’autres, en chemin, pourraient lire votre mot de passe. Ne le saisissez "
        "pas ici. Demandez à la personne qui s’occupe de ce serveur une adresse qui commence par https://."
    ),
    trouble="Cela ne fonctionne pas pour le moment",
    trouble_note="Rien n’est perdu. Attendez un instant, puis revenez à l’application et recommencez.",
    facts="Pour la personne qui s’occupe de l’application",
    code="Code",
    request="Requête",
    moment="Heure",
    landing="Vigie est en marche",
    landing_note=(
        "Ce serveur répond aux programmes écrits pour l’API des incidents de Microsoft Defender XDR. Il leur faut "
        "un jeton ; cette page et les documents ci-dessous n’en demandent pas."
    ),
    landing_incidents="Incidents :",
    landing_reference="Référence de l’API",
    landing_openapi=" : la même pour les programmes (OpenAPI)",
    landing_readiness=" : le serveur peut-il répondre",
    landing_independent="Vigie n’est ni affilié à Microsoft, ni approuvé par Microsoft.",
)

LANGUAGES: Mapping[str, Texts] = {each.language: each for each in (ENGLISH, FRENCH)}
