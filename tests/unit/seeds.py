"""Files as people have them, from which test_mutations.py starts."""

from __future__ import annotations

SSH_CONFIG = [
    """# The office
Include conf.d/*.conf "with space"

Host web db # the front
    HostName %h.example.org
    User anna
    Port 2200
    IdentityFile ~/.ssh/id_ed25519
    IdentityFile "/my keys/%r@%h:%p"
    IdentitiesOnly yes
    ProxyJump u@gate:2222,ssh://inner

Host gate inner
    ProxyJump none
    ProxyCommand nc -x proxy:1080 %h %p
    UserKnownHostsFile ~/.ssh/known_hosts_%k "/their hosts" ${HOME}/kh
    IdentityAgent ~/agent.sock

Match host *.example.org,!db.* user anna exec "test %n = web"
    HostKeyAlias cluster
    ConnectTimeout 1m30
    AddressFamily inet6
    BindAddress 127.0.0.1

Match final all
    GlobalKnownHostsFile /etc/ssh/kh /b
    RevokedHostKeys none
    StrictHostKeyChecking accept-new
""",
    "Host=10.0.0.*\n\tPort = 22\n\tUser=\"corp\\\\anna\"\n\tIdentityFile '/a b' # c\n"
    "Host *\r\n SendEnv LANG LC_*\r\n ServerAliveInterval 60\r\n IgnoreUnknown UseKeychain\r\n"
    " UseKeychain yes\r\n Tag prod\r\nMatch tagged pr* host 10.0.0.7\r\n ProxyJump [::1]:22\r\n",
    "# f\udcfcr Anna\nHost *\n IdentityFile ~/schl\udcfcssel-%C-%j-%L-%l-%i-%u-%d\n"
    " IdentityAgent $SSH_AUTH_SOCK\nMatch !localuser root originalhost web\n User x\n",
]
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGeJ/OOLfIdkdnt95dbkTX1SP/bmziK2m2w8NXuyL70Y"
KNOWN_HOSTS = [
    f"""web,10.0.0.7 ssh-ed25519 {KEY}
[web]:2200 ssh-ed25519 {KEY} a comment
|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-ed25519 {KEY}
@revoked db ssh-ed25519 {KEY}
@cert-authority *.example.org,!db.* ssh-rsa {KEY}
# a comment

!web,w?b ssh-ed25519 {KEY}=
""",
]
INVENTORY = [
    """{
 "_meta": {"hostvars": {
   "web1": {"ansible_host": "10.0.0.1", "ansible_port": 2200, "ansible_user": "deploy",
            "ansible_ssh_common_args": "-o ProxyJump=gate -i '/my keys/x' -C",
            "cartwheel_roles": ["app", "cron"], "cartwheel_weight": 2},
   "web2": {"ansible_ssh_private_key_file": "~/.ssh/k", "cartwheel_roles": "app, cron",
            "ansible_python_interpreter": "auto_silent", "cartwheel_inner_address": "10.1.0.2"},
   "win": {"ansible_connection": "winrm"}}},
 "all": {"children": ["web", "ungrouped"], "vars": {"ansible_user": "root"}},
 "web": {"hosts": ["web1", "web2"], "children": ["eu"], "vars": {"cartwheel_gateway": "g"}},
 "eu": {"hosts": {"web1": {}}, "vars": {"ansible_group_priority": 10}},
 "ungrouped": ["win"]
}""",
    '{"web": ["a", "b"], "db": {"hosts": ["c"], "vars": {"ansible_port": "22"}}}',
]
SETTINGS = [
    """# shop
hosts = ["web1.example.org", "deploy@web2.example.org:2200"]

[app]
name = "shop"
source = "."
entry = "shop.web:app"
extras = ["postgres"]
include = ["assets/**"]

[web]
server_names = ["shop.example.org", "www.shop.example.org"]
listen = 8080
static_dir = "static"
static_url = "/static/"

[web.static]
"/assets/" = { command = "python manage.py collectstatic --noinput", immutable = true }
"/own/" = "shop/own"

[web.media]
"/media/" = "media"

[gunicorn]
workers = "2 * cpus + 1"
threads = 4

[env]
DEBUG = "0"
WORKERS_ = "1"

[secrets]
SECRETKEY = { file = "secret.txt" }
TOKEN = { command = "op read x" }

[index]
url = "https://index.example.org/simple"
extra_urls = ["https://two.example.org/simple"]

[inventory]
command = "./inventory --env 'prod'"
[inventory.hosts.web1]
address = "10.0.0.1"
roles = ["app"]
[inventory.groups.eu]
hosts = ["web1"]

[hooks.dump]
before = "switch"
command = '''pg_dump "$DATABASE_URL"'''
""",
    '[app]\nname = "hello"\nsource = "hello==1.0"\nentry = "hello:app"\n[health]\npath = "/x"\n',
]
DOTENV = [
    """# the app's own
DEBUG=0
export DATABASE_URL="postgres://u:p@db/x?a=b#c"
NAME='quoted "twice"'  # why
EMPTY=
MULTI="one
two"
ESCAPED="a\\nb\\tc\\"d"
 SPACED = value with blanks
lower_case=1
""",
]
PIP_CONF = [
    """[global]
index-url = https://user:p%40ss@index.example.org/simple
extra-index-url =
    https://one.example.org/simple
    https://[2001:db8::1]:8443/simple
trusted-host = index.example.org
timeout = 60
cert = /etc/ssl/ca.pem
proxy = http://proxy:3128

[install]
no-binary = :all:
constraint = constraints.txt
; a comment
[freeze]
timeout = 10
""",
]
PROCFILE = [
    """web: gunicorn shop:app --log-file -
release: flask --app shop db upgrade
worker: celery -A shop worker -n worker@%h
beat: celery -A shop beat
clock: python clock.py "a b" 'c $d' $HOME ${PORT:-5000} && exit
""",
]
APP_JSON = [
    """{"name": "shop", "cron": [
  {"command": "python -m shop.cleanup", "schedule": "0 3 * * *"},
  {"command": "flask --app shop purge \\u00fc", "schedule": "@daily", "maintenance": true},
  {"command": "worker", "schedule": "*/5 1-3,7 * jan mon", "concurrency_policy": "allow"}
]}
""",
]
PROJECT = """[project]
name = "shop"
version = "0.1.0"
dependencies = ["flask>=3", "money @ file:../money"]
[project.scripts]
shop = "main:run"
[project.optional-dependencies]
live = ["celery"]
"""
TOML = {
    "uv": PROJECT
    + """[tool.uv]
constraint-dependencies = ["a<1"]
override-dependencies = ["b==1"]
no-binary-package = ["x"]
[tool.uv.sources]
flask = { git = "https://host.example/flask", tag = "v1" }
money = [{ path = "../money", marker = "os_name == 'posix'" }, { index = "own" }]
[[tool.uv.index]]
name = "own"
url = "https://own.example/simple"
default = true
[tool.uv.workspace]
members = ["packages/*"]
[dependency-groups]
dev = ["x @ file:../y", { include-group = "prod" }]
prod = ["gunicorn"]
""",
    "poetry": """[tool.poetry]
name = "shop"
package-mode = false
[tool.poetry.dependencies]
python = "^3.11"
flask = { version = "^3.0", extras = ["async"] }
money = { path = "../money", develop = true }
[tool.poetry.group.dev.dependencies]
pytest = "*"
[[tool.poetry.source]]
name = "own"
url = "https://own.example/simple"
priority = "explicit"
""",
    "pdm": PROJECT
    + """[tool.pdm]
distribution = false
[tool.pdm.resolution.overrides]
money = "file:///${PROJECT_ROOT}/../money"
flask = ">=3"
[[tool.pdm.source]]
name = "own"
url = "https://own.example/simple"
include_packages = ["a*"]
[build-system]
requires = ["setuptools", "setuptools-scm"]
""",
}
REQUIREMENTS = f"""# -*- coding: utf-8 -*-
-r base.txt
-c pins.txt
Flask[async]==3.0 \\
    --hash=sha256:{"a" * 64}
thing @ https://files.example/thing-1.0.zip#sha256=12
-i https://own.example/simple
--no-binary :all:
-e git+https://host.example/x@v1#egg=x
"""
PIPFILE = """[[source]]
url = "https://own.example/simple"
verify_ssl = false
name = "own"
[packages]
flask = "*"
bottle = { version = ">=0.12", markers = "os_name == 'posix'", extras = ["x"], index = "own" }
[packages.money]
path = "../money"
editable = true
[requires]
python_version = "3.11"
"""
PROJECT_FILES = {
    **{f"pyproject.toml of {name}": text for name, text in TOML.items()},
    "requirements.txt": REQUIREMENTS,
    "Pipfile": PIPFILE,
    "Pipfile.lock": '{"_meta": {"hash": {"sha256": "x"}}, "default": {"flask": {"index": "own",'
    ' "version": "==3.0", "hashes": ["sha256:aa"], "markers": "os_name == \'posix\'"},'
    ' "money": {"git": "https://host.example/money", "ref": "v1"}}, "develop": {}}',
    "setup.cfg": "[metadata]\nname = x\n[options]\ninstall_requires =\n    flask\n[flake8]\nx=1\n",
    "uv.lock": 'version = 1\n[[package]]\nname = "flask"\nversion = "3.0"\n'
    'source = { registry = "https://own.example/simple" }\n'
    'sdist = { url = "u", hash = "sha256:aa" }\nwheels = [{ url = "u", hash = "sha256:bb" }]\n'
    '[[package]]\nname = "money"\nsource = { git = "https://host.example/money?rev=v1#abc" }\n',
    "poetry.lock": '[[package]]\nname = "money"\nversion = "1"\n'
    'files = [{ file = "a", hash = "sha256:aa" }]\n[package.source]\ntype = "git"\nurl = "u"\n',
    "pdm.lock": '[[package]]\nname = "money"\nversion = "1"\nurl = "https://host.example/m.whl"\n'
    'files = [{ file = "a", hash = "sha256:aa" }]\n',
    "pylock.toml": 'lock-version = "1.0"\n[[packages]]\nname = "money"\nmarker = "x"\n'
    'archive = { url = "u", hashes = { sha256 = "a" } }\n[[packages]]\nname = "flask"\n'
    'wheels = [{ path = "x", hashes = { sha256 = "a" } }]\n',
    ".gitmodules": '[submodule "a"]\n\tpath = vendor/a\n',
}
PROJECT_BESIDE = {"main.py": "", "base.txt": "bottle\n", "pins.txt": "click<9\n"}
