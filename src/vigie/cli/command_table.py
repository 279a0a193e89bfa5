"""The commands of the program: name, function, sentence of help, an example, and the group in the help."""

from typing import NamedTuple

SET_UP, DIRECTORY, DATA, OPERATIONS = "Set-up", "Directory", "Data", "Operations"


class Command(NamedTuple):
    """One command. `path` is imported when the command runs, so that a command loads its own module alone."""

    name: str
    path: str
    help: str
    example: str


GROUPS = {
    SET_UP: ("init", "serve", "demo", "migrate", "config", "--install-completion"),
    DIRECTORY: ("tenant", "app", "role", "user", "device-group"),
    DATA: ("import", "export", "generate", "incident", "evidence", "history", "watch", "explain"),
    OPERATIONS: ("status", "backup", "copy", "token", "keys", "issuer", "webhook"),
}
"""The first words of the commands, by the group of the help that they stand in, in the order of the help."""

FAMILIES = {
    "config": "Check the settings.",
    "tenant": "Manage tenants: organisations whose data is isolated from each other.",
    "app": "Manage applications: OAuth clients with a secret or a certificate.",
    "role": "Manage roles: named sets of permissions.",
    "user": "Manage users, their roles and their passwords.",
    "device-group": "Manage device groups: the scopes that a role can be limited to.",
    "incident": "List, show and remove incidents.",
    "evidence": "Find where evidence was seen.",
    "keys": "Manage the keys that sign tokens.",
    "issuer": "Manage the issuer of tokens.",
    "webhook": "Manage webhooks: URLs that are told what changes.",
}
"""The first words that several commands share, with their sentences of help."""

COMMANDS = (
    # Set-up
    Command(
        "init",
        "vigie.cli.setup:init",
        "Create a settings file, the database and the signing key.",
        "vigie init --public-url https://vigie.example --tls auto",
    ),
    Command(
        "serve",
        "vigie.cli.setup:serve",
        "Run the server until it is stopped.",
        "vigie serve --host 0.0.0.0 --port 8443 --tls auto",
    ),
    Command(
        "demo",
        "vigie.cli.demo:demo",
        "Serve a sample tenant and show one request to it.",
        "vigie demo --once",
    ),
    Command(
        "migrate",
        "vigie.cli.setup:migrate",
        "Upgrade the database to the schema of this version.",
        "vigie migrate --config /etc/vigie/vigie.toml",
    ),
    Command(
        "config check",
        "vigie.cli.config:check_config",
        "Check the settings and list each value with its source.",
        "vigie config check --config /etc/vigie/vigie.toml",
    ),
    Command(
        "--install-completion",
        "vigie.cli.completion:install_completion",
        "Install shell completion.",
        "vigie --install-completion --shell zsh",
    ),
    # Directory
    Command(
        "tenant add",
        "vigie.cli.tenants:add_tenant",
        "Add a tenant.",
        "vigie tenant add contoso --domain contoso.example",
    ),
    Command("tenant list", "vigie.cli.tenants:list_tenants", "List the tenants.", "vigie tenant list --json"),
    Command(
        "tenant remove",
        "vigie.cli.tenants:remove_tenant",
        "Remove a tenant and everything in it.",
        "vigie tenant remove contoso",
    ),
    Command(
        "app add",
        "vigie.cli.applications:add_application",
        "Add an application and print its secret once.",
        "vigie app add reader --tenant contoso --permission Incident.Read.All",
    ),
    Command(
        "app set",
        "vigie.cli.applications:set_application",
        "Change the permissions, redirect URIs or client type of an application.",
        "vigie app set reader --tenant contoso --redirect-uri http://localhost",
    ),
    Command(
        "app list",
        "vigie.cli.applications:list_applications",
        "List the applications of a tenant.",
        "vigie app list --tenant contoso",
    ),
    Command(
        "app remove",
        "vigie.cli.applications:remove_application",
        "Remove an application and revoke its tokens.",
        "vigie app remove reader --tenant contoso",
    ),
    Command(
        "app rotate-secret",
        "vigie.cli.applications:rotate_secret",
        "Give an application a new secret.",
        "vigie app rotate-secret reader --tenant contoso --overlap 3600",
    ),
    Command(
        "app add-certificate",
        "vigie.cli.certificates:add_certificate",
        "Add a certificate credential to an application.",
        "vigie app add-certificate reader reader.pem --tenant contoso",
    ),
    Command(
        "app list-certificates",
        "vigie.cli.certificates:list_certificates",
        "List the certificates of an application, earliest expiry first.",
        "vigie app list-certificates reader --tenant contoso",
    ),
    Command(
        "app remove-certificate",
        "vigie.cli.certificates:remove_certificate",
        "Remove a certificate credential from an application.",
        "vigie app remove-certificate reader $THUMBPRINT --tenant contoso",
    ),
    Command(
        "role add",
        "vigie.cli.roles:add_role",
        "Add a role.",
        "vigie role add lead --tenant contoso --permission view-data",
    ),
    Command(
        "role list",
        "vigie.cli.roles:list_roles",
        "List the roles of a tenant, built-in roles first.",
        "vigie role list --tenant contoso",
    ),
    Command(
        "role remove",
        "vigie.cli.roles:remove_role",
        "Remove a role and all its assignments.",
        "vigie role remove lead --tenant contoso",
    ),
    Command(
        "user add",
        "vigie.cli.users:add_user",
        "Add a user without roles.",
        "vigie user add ada@contoso.example --tenant contoso",
    ),
    Command(
        "user list",
        "vigie.cli.users:list_users",
        "List the users of a tenant and their roles.",
        "vigie user list --tenant contoso",
    ),
    Command(
        "user grant",
        "vigie.cli.users:grant",
        "Assign a role to a user.",
        "vigie user grant ada@contoso.example --tenant contoso --role security-reader",
    ),
    Command(
        "user revoke",
        "vigie.cli.users:revoke",
        "Remove role assignments from a user.",
        "vigie user revoke ada@contoso.example --tenant contoso",
    ),
    Command(
        "user remove",
        "vigie.cli.users:remove_user",
        "Remove a user and revoke their tokens.",
        "vigie user remove ada@contoso.example --tenant contoso",
    ),
    Command(
        "user set-password",
        "vigie.cli.passwords:set_password",
        "Set the password of a user, read from the terminal or from stdin.",
        "vigie user set-password ada@contoso.example --tenant contoso",
    ),
    Command(
        "user remove-password",
        "vigie.cli.passwords:remove_password",
        "Remove the password of a user.",
        "vigie user remove-password ada@contoso.example --tenant contoso",
    ),
    Command(
        "user unlock",
        "vigie.cli.passwords:unlock",
        "End the lockout of a user.",
        "vigie user unlock ada@contoso.example --tenant contoso",
    ),
    Command(
        "user sign-out",
        "vigie.cli.passwords:sign_out",
        "End the sign-ins of a user.",
        "vigie user sign-out ada@contoso.example --tenant contoso",
    ),
    Command(
        "device-group add",
        "vigie.cli.device_groups:add_device_group",
        "Add a device group.",
        "vigie device-group add laptops --tenant contoso --id 11",
    ),
    Command(
        "device-group list",
        "vigie.cli.device_groups:list_device_groups",
        "List the device groups of a tenant.",
        "vigie device-group list --tenant contoso",
    ),
    Command(
        "device-group remove",
        "vigie.cli.device_groups:remove_device_group",
        "Remove a device group.",
        "vigie device-group remove laptops --tenant contoso",
    ),
    # Data
    Command(
        "import",
        "vigie.cli.importing:import_",
        "Import incidents from JSON files.",
        "vigie import incidents.jsonl.gz --tenant contoso",
    ),
    Command(
        "export",
        "vigie.cli.exporting:export",
        "Export the incidents of a tenant, one per line.",
        "vigie export --tenant contoso --out contoso.jsonl.gz",
    ),
    Command(
        "generate",
        "vigie.cli.exporting:generate",
        "Generate synthetic incidents, one per line.",
        "vigie generate --incidents 1000 --seed 1 --out incidents.jsonl",
    ),
    Command(
        "incident list",
        "vigie.cli.incidents:list_incidents",
        "List incidents, last updated first.",
        "vigie incident list --tenant contoso --status Active --severity High",
    ),
    Command(
        "incident show",
        "vigie.cli.incidents:show_incident",
        "Show an incident.",
        "vigie incident show 17 --tenant contoso",
    ),
    Command(
        "incident remove",
        "vigie.cli.incidents:remove_incident",
        "Remove an incident; its history is kept.",
        "vigie incident remove 17 --tenant contoso",
    ),
    Command(
        "evidence find",
        "vigie.cli.evidence:find_evidence",
        "Find the alerts in which a device, an account, an address or other evidence was seen.",
        "vigie evidence find 198.51.100.7 --tenant contoso",
    ),
    Command(
        "history",
        "vigie.cli.history:history",
        "Show the changes of an incident: who, when, old and new values.",
        "vigie history --tenant contoso --incident 17",
    ),
    Command(
        "watch",
        "vigie.cli.watch:watch",
        "Follow the changes of the incidents of a tenant, one line for each.",
        "vigie watch --tenant contoso --json",
    ),
    Command(
        "explain",
        "vigie.cli.explain:explain",
        "Explain why a caller can or cannot see an incident.",
        "vigie explain --tenant contoso --incident 17 --user ada@contoso.example",
    ),
    # Operations
    Command(
        "status",
        "vigie.cli.status:status",
        "Show the state of the database, the keys and the server.",
        "vigie status --json",
    ),
    Command(
        "backup",
        "vigie.cli.backup:backup",
        "Back up an SQLite database to a file.",
        "vigie backup /backup/vigie.sqlite3",
    ),
    Command(
        "copy",
        "vigie.cli.backup:copy",
        "Copy a database between SQLite and PostgreSQL.",
        "vigie copy --to postgresql://vigie@db.example/vigie",
    ),
    Command(
        "token",
        "vigie.cli.tokens:token",
        "Print an access token for an application or a user.",
        "vigie token --tenant contoso --app reader",
    ),
    Command(
        "keys rotate",
        "vigie.cli.keys:rotate_keys",
        "Create a new signing key and use it from now on.",
        "vigie keys rotate",
    ),
    Command(
        "keys list",
        "vigie.cli.keys:list_keys",
        "List the keys whose tokens are accepted.",
        "vigie keys list",
    ),
    Command(
        "issuer set",
        "vigie.cli.issuer:set_issuer",
        "Set the issuer of tokens to the URL that clients use.",
        "vigie issuer set https://vigie.example",
    ),
    Command(
        "webhook add",
        "vigie.cli.webhooks:add_webhook",
        "Add a webhook and print its signing secret once.",
        "vigie webhook add https://soar.example/vigie --tenant contoso --severity High",
    ),
    Command(
        "webhook list",
        "vigie.cli.webhooks:list_webhooks",
        "List the webhooks of a tenant and how far their deliveries have come.",
        "vigie webhook list --tenant contoso",
    ),
    Command(
        "webhook retry",
        "vigie.cli.webhooks:retry_webhook",
        "Deliver to a webhook again at once, also to one that was given up.",
        "vigie webhook retry soar.example --tenant contoso",
    ),
    Command(
        "webhook remove",
        "vigie.cli.webhooks:remove_webhook",
        "Remove a webhook.",
        "vigie webhook remove soar.example --tenant contoso",
    ),
)

# Written out: a plain `serve` runs without the library that would know them. A test holds that these are all.
COMMON_OPTIONS = ("--config", "--database", "--json", "--debug")
