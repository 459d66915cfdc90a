"""docs/errors.md: each error with its cause, an example and its remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from book.voice import Voice, linked
from cartwheel.errors import CATALOGUE, Problem

_HEAD = """\
# Errors

Every failure that a user can cause is reported in one line, with a number at its end and what to do
next:

<!-- exits 2 -->
```console
$ cartwheel deploy -H web1
error: there is no cartwheel.toml in /home/you/shop [CW103]
  next:   Run `cartwheel config.init` in your application's folder; it writes one.
```

This page explains each number. `fab explain` shows the same in a terminal: it takes a number, the
whole line, or words that you look for.

```console
$ cartwheel explain CW602
CW602: The new release failed its health check
...
```

`fab` says more with `--debug`. If it says only `Can't find any collection named 'fabfile'!`, there
is no fabfile in this folder or above it: `cartwheel config.init` writes one, and `cartwheel TASK`
needs none.

## Exit codes

| exit code | meaning |
| --- | --- |
| 0 | success |
| 1 | failed, nothing changed |
| 2 | usage or settings |
| 3 | failed, rolled back |
| 4 | needs attention |
| 5 | locked, frozen or stopped |
| 10 | `fab plan --exit-code`: a deploy would change something |
| 130 | interrupted, and the hosts have recovered |

`fab run` exits with its command's code. `fab status` and `fab doctor` exit with 1 if a host is not
well or not known, see [output.md](output.md#exit-codes-of-status-and-doctor).
"""

# By slug: why it happens, and the message of one case. A problem without an entry has neither.
_CASES: dict[str, tuple[str, str]] = {
    "usage": (
        "An option, a task or a value is misspelt, missing, or in the wrong place.",
        "`deploy` has no option --hosst",
    ),
    "no-hosts": (
        "Neither -H nor the settings name a host, or the options leave none of them.",
        "`deploy` needs a host, and none was given",
    ),
    "settings": (
        "A settings file is not TOML, or a key or value in it is not allowed.",
        "cartwheel.toml:12:1: gunicorn.thread: unknown key; did you mean gunicorn.threads?",
    ),
    "template": (
        "A template of your own has a mistake in Jinja2, or uses a name that does not exist.",
        ".cartwheel/templates/nginx-site.conf.j2:14: Web has no 'sever_names';"
        " did you mean server_names?",
    ),
    "secret": (
        "The file or variable of a secret is missing or empty, or its command failed.",
        "secrets.SECRET_KEY: /home/ann/secret is empty",
    ),
    "dry-run": (
        "fab's own option --dry prints commands of fabric's tasks only.",
        "--dry would run this task for real",
    ),
    "not-fab": (
        "The task was started by `inv`, which knows no hosts.",
        "`deploy` is a task for `fab`",
    ),
    "inventory": (
        "A file or program that lists hosts cannot be read, or prints something else.",
        "inventory/hosts.py --list does not print JSON: Expecting value: line 1 column 1",
    ),
    "same-host": (
        "Two names of this run lead to one machine, which would be deployed to twice.",
        "web1.example.org: this is the same host as web1",
    ),
    "plan-file": (
        "The file is not a plan, or was made for another application or by another version.",
        "plan.json is a plan for shop, not for shop.staging",
    ),
    "plan-stale": (
        "Sources, settings or the host are not as they were when the plan was made.",
        "web1: the release would be 1.1.0.99ab01cd, and was to be 1.0.0.7f3a1c02",
    ),
    "ssh-unreachable": (
        "No SSH server answers at that name and port: it is wrong, down, or behind a firewall.",
        "203.0.113.7 port 22: Connection refused",
    ),
    "host-key-unknown": (
        "You connect to this host for the first time, and known_hosts does not have its key.",
        "unknown host key: ssh-ed25519 SHA256:6bq...",
    ),
    "host-key-changed": (
        "The host was reinstalled or has a new key, or somebody else answers in its place.",
        "the host's key is ssh-ed25519 SHA256:6bq..., but ~/.ssh/known_hosts:3 has ssh-ed25519"
        " SHA256:Zk1...",
    ),
    "ssh-auth": (
        "The user does not exist there, or none of your keys may log in as that user.",
        "the host rejected the login as 'deploy'; tried ~/.ssh/id_ed25519",
    ),
    "ssh-lost": (
        "The network failed, or the host was rebooted, while the task ran.",
        "the host fell silent (noticed after 15 s)",
    ),
    "sudo-missing": (
        "The login user is not root, and sudo is missing or does not allow everything.",
        "'deploy' may not use sudo: deploy is not in the sudoers file",
    ),
    "sudo-password": (
        "sudo asks for a password, and none was given or it was wrong.",
        "sudo asks 'deploy' for a password, but none was given",
    ),
    "no-python": (
        "The host has no Python 3.9 or later, or `ssh.python` names something else.",
        "python3 is Python 3.7.3; Cartwheel needs 3.9 or later",
    ),
    "host-side": (
        "A mistake in Cartwheel, or its process on the host was killed.",
        "status: unreadable answer",
    ),
    "deadline": (
        "A program or a step did not end within its time limit.",
        "install did not end in time",
    ),
    "no-greeting": (
        "The login's shell or start-up files run something else, print text, or end at once.",
        "the login does not run commands: its shell is /usr/sbin/nologin",
    ),
    "ssh-config": (
        "ssh_config has a line that cannot be read, or that Cartwheel cannot follow.",
        "~/.ssh/config:14: bad number 'ten' for ConnectTimeout",
    ),
    "source": (
        "app.source is not a project, a folder with a module, a wheel or NAME==VERSION.",
        "app.source: /home/ann/shop has neither pyproject.toml nor app.py",
    ),
    "tests-failed": (
        "The application's tests ran here, before anything was uploaded, and failed.",
        "`pytest -q`: 2 failed, 31 passed",
    ),
    "build-failed": (
        "The project's build back end failed.",
        "Multiple top-level packages discovered in a flat-layout: ['app', 'scripts'].",
    ),
    "index-unreachable": (
        "The package index is down, its name is wrong, or a proxy is in the way.",
        "https://pypi.example.org/simple/ cannot be reached: Connection refused",
    ),
    "index-lacks": (
        "The name is misspelt, or the version does not exist on this index.",
        "https://pypi.example.org/simple/ has no flaskk",
    ),
    "lock-conflict": (
        "Two requirements ask for versions that exclude each other.",
        "shop needs flask>=3 and flask<3",
    ),
    "hash-mismatch": (
        "A file on the index is not the one that was locked, or that you pinned with --hash.",
        "flask-3.1.0-py3-none-any.whl differs from the lock",
    ),
    "wheel-corrupt": (
        "The file is incomplete or is no wheel.",
        "shop-1.0-py3-none-any.whl is damaged: File is not a zip file",
    ),
    "wheel-platform": (
        "The wheel has compiled code for another Python, machine or C library.",
        "shop-1.0-cp312-cp312-macosx_14_0_arm64.whl is for macosx_14_0_arm64; the host has"
        " glibc 2.36, x86_64",
    ),
    "store-unreachable": (
        "The artifact store is down or cannot be reached from here or from a host.",
        "https://artifacts.example.org cannot be reached: timed out",
    ),
    "store-refuses": (
        "The user or password is wrong, or may not write there.",
        "PUT https://artifacts.example.org/shop-1.0-py3-none-any.whl answered 403",
    ),
    "version-taken": (
        "The code changed, its version did not, and the index keeps the first file.",
        "https://pypi.example.org/simple/ already has a different shop-1.0-py3-none-any.whl",
    ),
    "store-damaged": (
        "Somebody replaced the file, or the store lost a part of it.",
        "https://artifacts.example.org/shop-1.0-py3-none-any.whl differs from what was published",
    ),
    "source-unusable": (
        "The folder, repository or URL that a requirement names cannot be built.",
        "pyproject.toml:14: common @ ../common: there is no such folder",
    ),
    "not-pure": (
        "The package compiles code, which would fit this machine and perhaps not the host.",
        "fastmath @ ../fastmath: fastmath-1.0-cp311-cp311-linux_x86_64.whl is not pure Python",
    ),
    "git-source": (
        "The repository does not exist, or you have no access to it, or to that commit.",
        "git+ssh://git@git.example.org/common.git cannot be read (Permission denied)",
    ),
    "source-conflict": (
        "Two files name different places for one package.",
        "common comes from ../common (pyproject.toml:14) and from ../other (requirements.txt:3)",
    ),
    "left-out": (
        "git ignores files of a plain folder that earlier releases had.",
        "the live release contains data.db, but the new one would not",
    ),
    "private-file": (
        "The build put a key, an environment file or a database into the wheel.",
        "shop-1.0-py3-none-any.whl contains shop/.env",
    ),
    "app-entry": (
        "app.entry names a module or an attribute that does not exist, or a factory without `()`.",
        "app.entry: the application has no module shop.wbe; there is shop.web",
    ),
    "server-kind": (
        "An ASGI application under a WSGI worker of gunicorn, or the other way round.",
        "app.entry: shop.web:app is an ASGI application, and gunicorn.kind is wsgi",
    ),
    "app-server": (
        "The locked gunicorn, worker or Python is too old for the settings.",
        "gunicorn 19.10.0 is too old to serve an app: require gunicorn>=21.2.0",
    ),
    "not-set-up": (
        "`fab setup` has not run on this host for this application.",
        "the host is not set up for shop",
    ),
    "not-ours": (
        "Cartwheel would have to take over a user or a folder that it did not create.",
        "/srv/shop exists and was not created by Cartwheel",
    ),
    "packages": (
        "apt failed: a source is wrong, a package does not exist, or dpkg was interrupted.",
        "apt could not install libpq5: Unable to locate package libpq5",
    ),
    "package-manager": (
        "The host has another package manager than apt.",
        "this host's packages are managed by dnf; supported so far: apt",
    ),
    "python-version": (
        "app.python asks for a version that the host does not have.",
        "there is no Python 3.13: the host has 3.11.2",
    ),
    "account": ("useradd or groupadd failed.", "useradd failed for shop"),
    "no-systemd": (
        "The host is a container without systemd, or another system.",
        "systemd is not running on this host",
    ),
    "port-taken": (
        "Another program, often another web server, listens there.",
        "port 80 is used by apache2",
    ),
    "host-state": (
        "A disk failed, or somebody edited the file.",
        "/var/lib/cartwheel/shop.json is damaged: not an object",
    ),
    "systemd": ("systemctl failed on the host.", "systemctl daemon-reload failed"),
    "missing-program": (
        "A program that `fab setup` installs was removed.",
        "nginx is not on this host",
    ),
    "disk-fails": ("The kernel reports an error of the disk.", "/srv/shop: Input/output error"),
    "read-only": (
        "The service may write to its shared folder only ([hardening]).",
        "/srv/shop/releases/1.0.7f3a1c02/cache: Read-only file system; its own files belong in"
        " /srv/shop/shared",
    ),
    "static-missing": (
        "A folder of web.static, web.static_dir or web.error_pages is not in the wheel.",
        'web.static."/static/": shop/static is not in the release; searched in'
        " /srv/shop/releases/...",
    ),
    "static-failed": (
        "The command exits with an error, takes too long, or writes somewhere else.",
        'web.static."/assets/": python manage.py collectstatic --noinput ended with 1',
    ),
    "static-unsafe": (
        "Links, devices, setuid files and files with several names are not served.",
        'web.static."/assets/": the command left /srv/shop/releases/1.0.7f3a1c02/static/a.css,'
        " which is a link",
    ),
    "media": (
        "The folder is a link, or somebody else's.",
        'web.media."/media/": /srv/shop/shared/media does not belong to the app\'s user',
    ),
    "disk-full": (
        "A deploy needs 64 MB and 5000 inodes, and room for its packages.",
        "/srv has 12 MB left",
    ),
    "upload-damaged": (
        "The bytes that arrived are not those that were sent.",
        "shop-1.0-py3-none-any.whl arrived damaged",
    ),
    "venv-failed": (
        "Python's venv module is missing on the host, or failed.",
        "the virtual environment could not be created: No module named venv",
    ),
    "install-failed": (
        "pip or uv failed on the host, often because a package has to be compiled.",
        "Failed building wheel for psycopg2",
    ),
    "no-uv": (
        "deploy.installer is uv, and `fab setup` has not run since.",
        "deploy.installer is uv, and the host has no uv",
    ),
    "dependency-missing": (
        "Requirements of the installed packages contradict each other.",
        "shop 1.0 requires flask<3, but you have flask 3.1.0",
    ),
    "import-failed": (
        "The module or attribute of app.entry does not exist, or its import fails.",
        "shop.web:app cannot be imported: ModuleNotFoundError: No module named 'redis'",
    ),
    "unit-refused": (
        "systemd on the host does not know a directive of your own lines.",
        "systemd rejects web@.service:31: Unknown key name 'ProtectHme'",
    ),
    "nginx-broken": (
        "Somebody else's file in /etc/nginx is wrong. Cartwheel changes nothing then.",
        'unknown directive "sever_name" in /etc/nginx/conf.d/blog.conf:4',
    ),
    "nginx-refuses": (
        "The site of this application does not fit this nginx.",
        'unknown directive "brotli" in /etc/nginx/conf.d/cartwheel-shop.conf:61',
    ),
    "apache-broken": (
        "Somebody else's file in /etc/apache2 is wrong. Cartwheel changes nothing then.",
        "/etc/apache2/sites-enabled/blog.conf:4: Invalid command 'SeverName'",
    ),
    "apache-refuses": (
        "The site of this application does not fit this Apache.",
        "/etc/apache2/cartwheel/cartwheel-shop.conf:61: Invalid command 'BrotliFilter'",
    ),
    "web-server-changed": (
        "web.server was changed while the site that the other one serves is still there.",
        "/etc/nginx/conf.d/cartwheel-shop.conf stands, and web.server is apache",
    ),
    "bad-users": (
        "A line of `users` in [web.paths] is not NAME:HASH, or its hash is weak or takes a web"
        " server too long.",
        'web.paths."/admin/".users: deploy/users:3: bcrypt takes the web server too long; make one'
        " with `openssl passwd -6`",
    ),
    "bad-certificate": (
        "A file of [tls] is missing or not PEM, the key is another certificate's, or browsers would"
        " not accept the certificate for this site ([tls.md](tls.md)).",
        "tls.certificate: tls/shop.pem has expired on 2026-11-01: renew it",
    ),
    "tls-not-served": (
        "After a reload a connection on the host itself got another certificate, or none.",
        "web1: port 443: another certificate is served for shop.example.org",
    ),
    "maintenance-unseen": (
        "The site was written by an earlier version, or by a template of your own that does not"
        " look for the mark of `fab maintenance.on`; or the web server does not answer.",
        "web1: a visitor still gets 200",
    ),
    "acme": (
        "The authority could not reach the host by the name, refuses the name, or was asked too"
        " often; or it could not be reached itself ([tls.md](tls.md)).",
        "web1: https://acme-v02.api.letsencrypt.org/directory gave no certificate for"
        " shop.example.org: urn:ietf:params:acme:error:dns: DNS problem: NXDOMAIN looking up A for"
        " shop.example.org",
    ),
    "no-certbot": (
        "tls.acme was set after the host was set up.",
        "web1: tls.acme is set, and the host has no certbot",
    ),
    "no-acme": (
        "Nothing was deployed to this host since tls.acme was set.",
        "web1: shop asks no certificate authority on this host",
    ),
    "local-file": (
        "The disk of the machine where you typed is full, or a folder belongs to another user.",
        "/home/ann/.cache/cartwheel/wheels: Permission denied",
    ),
    "site-unread": (
        "Somebody took `include /etc/nginx/conf.d/*.conf;` out of nginx.conf.",
        "nginx does not read /etc/nginx/conf.d: no `include` names it",
    ),
    "web-server-masked": (
        "Somebody ran `systemctl mask nginx`, so nothing can start it.",
        "nginx does not run, and its unit is masked",
    ),
    "web-server-down": (
        "Another program has nginx's port, or its unit was changed.",
        "nginx does not start or reload: bind() to 0.0.0.0:80 failed (98: Address already in use)",
    ),
    "server-name-taken": (
        "Two sites with one name: nginx would serve only the first.",
        "/etc/nginx/conf.d/old.conf already has the server name shop.example.org",
    ),
    "server-name-needed": (
        "Without server names the app would be the default site, and there is one.",
        "web.server_names is empty, and /etc/nginx/conf.d/blog.conf is already the default site",
    ),
    "python-reach": (
        "The interpreter is below a home directory that others may not read.",
        "the user shop cannot run Python: /root may not be entered",
    ),
    "not-whole": (
        "Files of a release were removed or changed on the host.",
        "1.0.7f3a1c02 is damaged: it has lost gunicorn.conf.py",
    ),
    "start-failed": (
        "systemd could not start the unit.",
        "systemd could not start cartwheel-shop.web.1.0.7f3a1c02@1.service",
    ),
    "unhealthy": (
        "The release did not start, or did not answer health.path with health.status.",
        "not healthy after 30 s: /healthz answered 500 instead of 200",
    ),
    "not-ready": (
        "A process ended, or did not do what processes.NAME.ready and ready_seconds ask for.",
        "worker 1 ended (exit-code)",
    ),
    "no-zone": (
        "The host has no database of time zones, or an old one.",
        "timers.cleanup.zone: there is no time zone Europe/Berlin on this host",
    ),
    "no-timer": (
        "One host of several has the timer, or it was not deployed yet.",
        "the timer cleanup is not on this host; timers here: none",
    ),
    "no-run": (
        "The run is older than those that are kept, or there was none yet.",
        "there is no run 3 of the timer cleanup; kept: 8 to 27",
    ),
    "timer-busy": (
        "The last run has not ended, and a timer never runs twice at once.",
        "the job of the timer cleanup is under way",
    ),
    "no-program": (
        "The first word of a process's command is not in the release, and not in PATH on the host.",
        "processes.worker: there is no program celery",
    ),
    "reverted": (
        "After the switch the health check failed, workers died or too many answers were 5xx.",
        "12 of 40 requests (30 %) failed with 5xx",
    ),
    "facts-changed": (
        "Somebody else changed the application between the plan and the change.",
        "the live release has changed in the meantime",
    ),
    "not-deployed": ("There was no deploy on this host yet.", "shop is not deployed here"),
    "no-rollback": (
        "There was only one release, or the others were pruned or are damaged.",
        "there is no earlier good release",
    ),
    "no-release": ("`--to` names no release of this host.", "there is no release or version 1.9"),
    "other-prefix": (
        "A rollback, or a restart, over a change of web.prefix.",
        '1.0.7f3a1c02 was made with web.prefix = "", and now it is "/shop"',
    ),
    "migration-failed": (
        "deploy.migrate ended with an error, before any host switched.",
        "flask --app shop db upgrade ended with 1",
    ),
    "hook-failed": (
        "One of your own commands under [hooks] failed.",
        "hook smoke (before confirm) ended with 1",
    ),
    "not-well": (
        "`fab status` found the application not serving, or at risk.",
        "nginx does not run",
    ),
    "locked": (
        "Two runs at once: the second waits --wait seconds, then gives up.",
        "locked by ann@desk since 2026-11-29T14:02:11Z (the summer release)",
    ),
    "stopped": (
        "`fab stop` was used, so a deploy does not start it again by itself.",
        "stopped by ann@desk since 2026-11-29 14:02",
    ),
    "held": (
        "`fab lock.hold` was used.",
        "frozen by ann@desk since 2026-11-29 14:02 (no changes during the sale)",
    ),
    "balancer": (
        "The balancer's program or address failed.",
        "the balancer answered 503",
    ),
    "balancer-empty": (
        "All hosts of a balancer would be out at the same time.",
        "with web1, web2 out at once no host would be left in lb1",
    ),
    "balancer-stuck": (
        "The host works, but its balancer did not take it back.",
        "could not be returned to lb1: the connection was lost",
    ),
    "lab-platform": ("Lab hosts are containers of Linux.", "the lab needs root"),
    "lab-tools": (
        "A program or package for lab hosts is missing here.",
        "the lab needs systemd-nspawn",
    ),
    "lab-failed": ("See its message.", "the base system could not be built"),
    "lab-unknown": ("The name is misspelt.", "there is no lab host lab7; there are: lab1"),
    "lab-off": ("`fab lab.power-cut` or a reboot.", "the host is off"),
    "lab-missing": (
        "Lab hosts are a distribution of their own.",
        "`lab.up` needs the lab, which is not installed",
    ),
    "notify-missing": (
        "[notify] names messengers, and the program that knows them is not installed here.",
        "[notify] needs Apprise, which is not installed",
    ),
    "monitor": (
        "The monitor's program on its host could not do it, or is of another version.",
        "the monitor: shop is not watched here",
    ),
    "dashboard-missing": (
        "The page is made by Flask and served by gunicorn, which deploys do not need.",
        "a dashboard needs gunicorn, which this Python does not have",
    ),
    "dashboard": (
        "Its port or its state is taken, or a part of it was killed.",
        "port 8500 of 127.0.0.1 is in use",
    ),
    "host-key-not-kept": (
        "The known_hosts file, or its folder, cannot be written.",
        "the host's key cannot be saved in /home/ann/.ssh/known_hosts: Read-only file system",
    ),
}


def page(tests: Mapping[str, str], voice: Voice) -> str:
    """`tests` has the name of a test for each slug."""
    ordered = sorted(CATALOGUE.items(), key=lambda one: one[1].number)
    rows = [
        voice.row(_link(one), voice.say(one.title), str(int(one.exit))) for _slug, one in ordered
    ]
    parts = [_section(slug, one, tests.get(slug, ""), voice) for slug, one in ordered]
    return "\n".join(
        [
            voice.markdown(_HEAD),
            "",
            voice.heading(2, "Numbers"),
            "",
            *voice.head("error number", "error", "exit code"),
            *rows,
            "",
            "\n".join(parts),
        ]
    )


def without_case() -> list[str]:
    """The slugs of problems without a cause and an example here, and those that are no problem."""
    return sorted(set(CATALOGUE) ^ set(_CASES))


def _link(problem: Problem) -> str:
    return f"[CW{problem.number}](#cw{problem.number})"


def _section(slug: str, problem: Problem, test: str, voice: Voice) -> str:
    return "\n".join(_lines(slug, problem, test, voice)) + "\n"


def _lines(slug: str, problem: Problem, test: str, voice: Voice) -> Iterator[str]:
    say = voice.say
    yield f'<a id="cw{problem.number}"></a>'
    yield f"### CW{problem.number}: {say(problem.title)}"
    yield ""
    yield say("`{slug}`, exit code {code}").format(slug=slug, code=int(problem.exit))
    yield ""
    if slug in _CASES:
        cause, example = _CASES[slug]
        code = f"`` {example} ``" if "`" in example else f"`{example}`"
        yield say("- Cause: {text}").format(text=say(cause))
        yield say("- Example: {text}").format(text=code)
    yield say("- Remedy: {text}").format(text=linked(say(problem.remedy)))
    if test:
        yield say("- Test: {text}").format(text=test)
