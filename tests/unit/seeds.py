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
