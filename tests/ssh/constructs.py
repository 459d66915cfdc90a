"""A table of ssh_config(5): each construct with its meaning for `ssh`, which must be ours too.

A case has a file's text, a target as it is typed after -H, and what both mean. `~` stands for the
home folder. Several values of one kind are joined with blanks, as `ssh -G` prints them.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ME = getpass.getuser()
HERE = socket.gethostname()
UID = os.getuid()
CONNECTION = hashlib.sha1(
    f"{HERE}h22u".encode(), usedforsecurity=False
).hexdigest()  # %C: of %l, %h, %p, %r
USUAL = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
VARIABLES = {"KEYS": "/from env", "PERCENT": "%h", "OWN_AGENT": "/run/own.sock", "EMPTY": ""}


@dataclass(frozen=True)
class Case:
    """`typed` is for -H; `ssh` is the same for ssh, if it is written otherwise there.

    `refused`: words of ssh's refusal; ours has file and line. `alone`: words of our own parser,
    which needs the client for this. `since`: the first version of OpenSSH that knows it.
    `names_are_private`: names are resolved, so it runs with its own /etc/hosts (as root).
    """

    name: str
    text: str
    typed: str = "web"
    ssh: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    line: int = 0
    alone: str = ""
    since: tuple[int, int] = (0, 0)
    names_are_private: bool = False
    means: Mapping[str, object] = field(default_factory=dict)


# Any: the fields of a case, and the values that it means.
def case(name: str, text: str, typed: str = "web", **named: Any) -> Case:
    own = {key: named.pop(key) for key in list(named) if key in Case.__dataclass_fields__}
    return Case(name, text, typed, means=named, **own)


def refused(name: str, text: str, said: str, line: int = 1, **named: Any) -> Case:
    return case(name, text, refused=said, line=line, **named)


WEB = "Host web\n"

PLAIN = [
    case("nothing", "", host="web", port=22, user=ME, keys="", known=USUAL, jumps="", command=""),
    case("host name", WEB + " HostName 10.0.0.1", host="10.0.0.1"),
    case("host name in capitals", WEB + " HostName WEB.Example.ORG", host="web.example.org"),
    case("a name in capitals", "Host WEB\n Port 1\nHost web\n Port 2", "WEB", host="web", port=1),
    case("user", WEB + " User bob", user="bob"),
    case("a user of a domain", WEB + " User corp\\anna", user="corp\\anna"),
    case("a user with @", WEB + " User anna@corp", user="anna@corp"),
    case("port", WEB + " Port 2200", port=2200),
    case("port with zeros", WEB + " Port 0022", port=22),
    case("port by name", WEB + " Port ssh", port=22),
    case("identity file", WEB + " IdentityFile ~/.ssh/id_web", keys="~/.ssh/id_web"),
    case("identities in order", "IdentityFile /2\nHost web\n IdentityFile /1\n IdentityFile /3",
         keys="/2 /1 /3"),
    case("an identity twice", "IdentityFile /1\nIdentityFile /2\nIdentityFile /1", keys="/1 /2"),
    case("identity none", "IdentityFile none", keys=""),
    case("identity none and another", "IdentityFile none\nIdentityFile /1", keys="/1"),
    case("a relative identity", "IdentityFile keys/id", keys="keys/id"),
    case("a public key", "IdentityFile ~/.ssh/id.pub", keys="~/.ssh/id.pub"),
    case("identities only", "IdentitiesOnly yes", only=True),
    case("identities only, true", "IdentitiesOnly TRUE", only=True),
    case("identities only, no", "IdentitiesOnly no", only=False),
    case("no agent", "IdentityAgent none", agent="none"),
    case("an agent", "IdentityAgent ~/agent.sock", agent="~/agent.sock"),
    case("the usual agent", "IdentityAgent SSH_AUTH_SOCK", agent=""),
    case("an agent's variable", "IdentityAgent $OWN_AGENT", agent="/run/own.sock"),
    case("an agent's variable in braces", "IdentityAgent ${OWN_AGENT}", agent="/run/own.sock"),
    refused("an agent's variable that is none", "IdentityAgent $A-B", "line 1: Invalid env"),
    case("an agent with tokens", "IdentityAgent ~/%%h-%h-%r", agent=f"~/%h-web-{ME}"),
    case("an agent with blanks", 'IdentityAgent "~/Group Containers/agent.sock"',
         agent="~/Group Containers/agent.sock"),
    case("an alias of the key", "HostKeyAlias cluster", alias="cluster"),
    case("an alias in capitals", "HostKeyAlias Cluster", alias="cluster"),
    case("known hosts", "UserKnownHostsFile /a ~/b", known="/a ~/b"),
    case("known hosts with blanks", 'UserKnownHostsFile "~/my hosts" "/their hosts"',
         known="~/my hosts /their hosts", known_files=("~/my hosts", "/their hosts")),
    case("known hosts with tokens", "UserKnownHostsFile ~/%%h /k/%h-%p ${KEYS}/k",
         known="~/%h /k/web-22 /from env/k"),
    case("no known hosts", "UserKnownHostsFile none", known=""),
    case("known hosts: null", "UserKnownHostsFile /dev/null", known="/dev/null"),
    case("known hosts by key", "UserKnownHostsFile ~/k/%k\nHostKeyAlias Al", known="~/k/al"),
    case("the system's known hosts", "GlobalKnownHostsFile /a ~/b", system="/a ~/b"),
    case("the system's have no tokens", "GlobalKnownHostsFile /%h/%%", system="/%h/%%"),
    case("none of the system's", "GlobalKnownHostsFile none", system=""),
    case("revoked", "RevokedHostKeys ~/krl", revoked="~/krl"),
    case("revoked with tokens", "RevokedHostKeys ~/krl-%h", revoked="~/krl-web", since=(9, 3)),
    case("none revoked", "RevokedHostKeys none", revoked=""),
    case("timeout", "ConnectTimeout 5", timeout=5),
    case("timeout 1m", "ConnectTimeout 1m", timeout=60),
    case("timeout 1h30", "ConnectTimeout 1h30", timeout=3630),
    case("timeout 1M5S", "ConnectTimeout 1M5S", timeout=65),
    case("timeout none", "ConnectTimeout none", timeout=None),
    case("timeout 0", "ConnectTimeout 0", timeout=None),
    case("family", "AddressFamily inet6", family="inet6"),
    case("family in capitals", "AddressFamily INET", family="inet"),
    case("bind address", "BindAddress 127.0.0.9", bind="127.0.0.9"),
    case("checking of host keys", "StrictHostKeyChecking accept-new", host="web"),
    case("what is not for us", "Compression yes\nForwardAgent yes\nSendEnv LANG LC_*\nSetEnv A=b\n"
         "LocalForward 8080 localhost:80\nServerAliveInterval 1m\nControlMaster auto\nPort 7",
         port=7),
    case("what is accumulated", "SendEnv A\nSendEnv B\nCertificateFile /c\nCertificateFile /d\n"
         "User u", user="u"),
    case("an old name", "IdentityFile2 /k", keys="/k"),
    case("an ignored unknown", "IgnoreUnknown UseKeychain,Apple*\nUseKeychain yes\n"
         "AppleThing 1 2\nPort 7", port=7),
]  # fmt: skip

TYPED = [
    case("user and port typed", "Host web\n User c\n Port 3", "anna@web:2200",
         ssh=("-p", "2200", "anna@web"), user="anna", port=2200),
    case("only a user typed", "Host web\n User c\n Port 3", "anna@web", user="anna", port=3),
    case("only a port typed", "Host web\n User c\n Port 3", "web:2200", ssh=("-p", "2200", "web"),
         user="c", port=2200),
    case("two @", "", "anna@corp@web", user="anna@corp", host="web"),
    case("two @ and a port", "Match user anna@corp\n Port 7\n", "anna@corp@web:2200",
         ssh=("-p2200", "anna@corp@web"), user="anna@corp", port=2200),
    case("two @ in a block", "Match user *@corp\n HostName gate", "anna@corp@web", host="gate"),
    case("% in a user that is typed", "ProxyCommand x %r", "u%h@web", user="u%h",
         command="x u%h"),
    case("a domain typed", "", "corp\\anna@web", user="corp\\anna"),
    case("a URI", "Host web\n User c", "ssh://anna@web:2200", user="anna", port=2200, host="web"),
    case("a URI's user", "", "ssh://anna%40corp@web/", user="anna@corp", host="web"),
    case("a bare URI", "Host web\n Port 7", "ssh://web", port=7, user=ME),
    case("typed tokens", "IdentityFile /%n/%h/%p/%r\nHost web\n HostName 10.0.0.1\n"
         " ProxyCommand nc %n %h %p %r", "anna@web:2200", ssh=("-p", "2200", "anna@web"),
         keys="/web/10.0.0.1/2200/anna", command="nc web 10.0.0.1 2200 anna"),
    case("typed known hosts", "UserKnownHostsFile /%r-%p", "anna@web:2200",
         ssh=("-p", "2200", "anna@web"), known="/anna-2200"),
    case("an IPv6 address", "Host 2001:db8::*\n Port 7", "2001:db8::1", host="2001:db8::1", port=7),
    case("IPv6 in brackets", "Host ::1\n User six", "[::1]:2200", ssh=("-p", "2200", "::1"),
         host="::1", port=2200, user="six"),
    case("IPv6 and a user", "", "anna@[2001:db8::1]:2200", ssh=("-p2200", "anna@2001:db8::1"),
         host="2001:db8::1", user="anna", port=2200),
    case("IPv6 in capitals", "", "2001:DB8::A", host="2001:DB8::A"),
    case("IPv6 at length", "", "2001:db8:0:0:0:0:0:1", host="2001:db8::1"),
    case("IPv6 with a zone", "IdentityFile /%h", "fe80::1%lo", host="fe80::1%lo",
         keys="/fe80::1%lo"),
    case("IPv6 and a command", "ProxyCommand nc '[%h]' %p", "::1", command="nc '[::1]' 22"),
    case("a short IPv4 address", "", "127.1", host="127.0.0.1"),
    case("IPv4 in hexadecimal", "", "0x7f.1", host="127.0.0.1"),
    case("a number that is no address", "", "1.2.3.4.5", host="1.2.3.4.5"),
    case("an address of another family", "AddressFamily inet6", "127.1", host="127.1"),
    case("an address by HostName", "HostName 127.1", host="127.0.0.1"),
    case("a dot at the end", "Host web.\n Port 7", "web.", host="web.", port=7),
    case("a name with an underscore", "Host my_web-1\n Port 7", "my_web-1", port=7),
]  # fmt: skip

TOKENS = [
    case("every token", "HostName h.example\nUser u\nPort 7\nHostKeyAlias Al\n"
         "IdentityFile /%n-%h-%p-%r-%u-%i-%L-%l-%k-%%-%d",
         keys=f"/web-h.example-7-u-{ME}-{UID}-{HERE.partition('.')[0]}-{HERE}-al-%-~"),
    case("%k without an alias", "HostName h\nIdentityFile /%k", keys="/web"),
    case("%k of a command", "HostName h\nProxyCommand x %k", command="x web"),
    case("%k of a command with an alias", "HostKeyAlias Al\nProxyCommand x %k", command="x al"),
    case("%j without a jump", "IdentityFile /%j/x", keys="//x", since=(9, 6)),
    case("%j", WEB + "ProxyJump a,u@gate:7\nIdentityFile /%j", keys="/gate", since=(9, 6)),
    case("%C", "HostName h\nUser u\nIdentityFile /%C", keys=f"/{CONNECTION}"),
    case("%C with a jump", WEB + "ProxyJump u@gate:7\nIdentityFile /%C", since=(9, 6)),
    case("%C in known hosts", "UserKnownHostsFile ~/%C"),
    case("%h in a host name", "Host web\n HostName %h.example.org", host="web.example.org"),
    case("%% in a host name", "Host web\n HostName a%%b", host="a%b"),
    case("%h twice", "HostName %h-%h", host="web-web"),
    case("%d in a file", "UserKnownHostsFile %d/k", known="~/k"),
    case("~ of a user", "IdentityFile ~root/key", keys="~root/key"),
    case("~ in the middle", "IdentityFile /a/~/b", keys="/a/~/b"),
    case("a variable", "IdentityFile ${KEYS}/id", keys="/from env/id"),
    case("a variable's %", "IdentityFile /${PERCENT}/id", keys="/%h/id"),
    case("two variables", "IdentityFile ${KEYS}${KEYS}", keys="/from env/from env"),
    case("an empty variable", "IdentityFile /x${EMPTY}", keys="/x"),
    case("a variable without braces", "IdentityFile $KEYS/id", keys="$KEYS/id"),
    case("no variables in a command", "ProxyCommand nc ${KEYS} $KEYS", command="nc ${KEYS} $KEYS"),
    case("tokens in quotes", 'IdentityFile "/my keys/%h"', keys="/my keys/web"),
    case("%% in a command", "ProxyCommand date +%%s", command="date +%s"),
    case("tokens of a jump", "User u\nHost web\n ProxyJump %r@gate-%h", jumps="u@gate-web:22"),
    case("tokens of a user", "User u-%n", user="u-web", alone=":1: u-%n in User", since=(10, 1)),
    refused("an unknown token of a host name", "HostName %n", "unknown key %n"),
]  # fmt: skip

MATCH = [
    case("match all", "Match all\n Port 7", port=7),
    case("match host", "Match host web\n Port 7", port=7),
    case("match host not", "Match host db\n Port 7", port=22),
    case("match host in capitals", "Match host WEB\n Port 7", port=7),
    case("match list", "Match host db,we*\n Port 7", port=7),
    case("match list with a negation", "Match host we*,!web\n Port 7", port=22),
    case("match a negation alone", "Match host !db\n Port 7", port=22),
    case("match not", "Match !host db\n Port 7", port=7),
    case("match not, of a list", "Match !host db,!web\n Port 7", port=7),
    case("match by host name", "HostName h.example\nMatch host h.*\n Port 7", port=7),
    case("match by the first name", "HostName h\nMatch originalhost web\n Port 7", port=7),
    case("match user", "Match user bob\n Port 7\nMatch user *\n Port 8", port=8),
    case("match user set before", "User bob\nMatch user bob\n Port 7", port=7),
    case("match user set after", "Match user bob\n Port 7\nMatch all\n User bob", port=22),
    case("match user typed", "Match user anna\n Port 7", "anna@web", port=7),
    case("match user in capitals", "Match user Anna\n Port 7", "anna@web", port=22),
    case("match local user", f"Match localuser {ME}\n Port 7", port=7),
    case("match local user not", f"Match !localuser {ME}\n Port 7", port=22),
    case("match exec", "Match exec true\n Port 7", port=7),
    case("match exec that fails", "Match exec false\n Port 7", port=22),
    case("match not exec", "Match !exec false\n Port 7", port=7),
    case("match exec in quotes", 'Match exec "test %n = web && test %h = web"\n Port 7', port=7),
    case("match exec with tokens", "HostName H\nUser u\nPort 9\nHostKeyAlias A\n"
         f'Match exec "test %h-%n-%p-%r-%u-%k-%% = H-web-9-u-{ME}-A-%%"\n BindAddress 1.1.1.1',
         bind="1.1.1.1"),
    case("match exec %k", 'HostName h\nMatch exec "test %k = h"\n Port 7', port=7),
    case("match exec %C", 'Match exec "test -n %C"\n Port 7', port=7),
    case("match exec is not run", 'Match host db exec "exit 99"\n Port 7', port=22),
    case("match exec with a pipe", 'Match exec "echo %h | grep -q ^w"\n Port 7', port=7),
    case("several criteria", f"Match host web user {ME} !exec false\n Port 7", port=7),
    case("several criteria, one not", "Match host web user nobody\n Port 7", port=22),
    case("match final", "Match final\n Port 7", port=7),
    case("match final host", "HostName h.example\nMatch final host h.example\n User late",
         user="late"),
    case("match final comes last", "Match final\n Port 7\nHost web\n Port 8", port=8),
    case("match final all", "Match final all\n Port 7", port=7),
    case("match not final", "Match !final\n Port 7", port=7),
    case("final: blocks of the new name", "Match final\n User late\nHost 10.0.0.7\n Port 7\n"
         "Host web\n HostName 10.0.0.7", user="late", port=7),
    case("final in a block that does not match", "Match host db final\n User x\nHost h\n Port 7\n"
         "Host web\n HostName h", port=7),
    case("match canonical", "Match canonical\n Port 7", port=22),
    case("match canonical all", "Match canonical all\n Port 7", port=22),
    case("match canonical beside final", "Match canonical\n Port 7\nMatch final\n User u", port=7),
    case("match with capitals", "MATCH HOST web\n PORT 7", port=7),
    case("match with =", "Match host=web user=*\n Port 7", port=7),
    case("match with a comment", "Match host web # the front\n Port 7", port=7, since=(9, 9)),
    case("match with blanks in quotes", 'Match host "web"\n Port 7', port=7),
    case("match after host", "Host db\n Port 1\nMatch host web\n Port 7", port=7),
    case("match tagged", "Tag prod\nMatch tagged pr*\n Port 7", port=7, since=(9, 4)),
    case("match tagged not", "Tag prod\nMatch tagged dev\n Port 7", port=22, since=(9, 4)),
    case("match tagged by a host", "Host web\n Tag a\nMatch !tagged b\n Port 7", port=7,
         since=(9, 4)),
    case("match local network", "Match localnetwork 127.0.0.0/8\n Port 7", port=7, since=(9, 4),
         alone=":1: `Match localnetwork` needs"),
    case("match no local network", "Match localnetwork 203.0.113.77/32\n Port 7", port=22,
         since=(9, 4), alone=":1: `Match localnetwork` needs"),
    case("match a session", "Match sessiontype shell\n Port 7", port=7, since=(10, 0),
         alone=":1: `Match sessiontype` needs"),
    case("an unknown network elsewhere", "Match host db localnetwork 10.0.0.0/8\n Port 7", port=22,
         since=(9, 4)),
    refused("match nothing", "Match\n Port 7", "line 1: no argument after keyword"),
    refused("match without a value", "Match user\n Port 7", "line 1: Bad Match condition"),
    refused("an unknown criterion", "Match hots web\n Port 7", "line 1: Bad Match condition"),
    refused("all and others", "Match host web user x all\n Port 7", "line 1: Bad Match condition"),
    refused("all first", "Match all host web\n Port 7", "line 1: Bad Match condition"),
]  # fmt: skip

HOST = [
    case("patterns", "Host w?b\n Port 7", port=7),
    case("a pattern of a part", "Host *.example.org\n Port 7", "a.b.example.org", port=7),
    case("brackets are no pattern", "Host w[e]b\n Port 7", port=22),
    case("a negation", "Host * !web\n Port 7", port=22),
    case("a negation first", "Host !web *\n Port 7", port=22),
    case("a negation of others", "Host !db *\n Port 7", port=7),
    case("a negation alone", "Host !db\n Port 7", port=22),
    case("several names", "Host db web\n Port 7", port=7),
    case("names with a comma", "Host db,web\n Port 7", port=22),
    case("names in quotes", 'Host "web" \'db\'\n Port 7', port=7),
    case("host with =", "Host=web\n Port 7", port=7),
    case("the case of a name", "Host WEB\n Port 7", port=22),
    case("not by host name", "Host web\n HostName db\nHost db\n Port 7", host="db", port=22),
    case("the first wins", "Host web\n Port 7\nHost *\n Port 8\n User u", port=7, user="u"),
    case("before all blocks", "Port 7\nHost web\n Port 8", port=7),
    case("an empty block", "Host web\nHost *\n Port 7", port=7),
    case("a comment after names", "Host web # the front\n Port 7", port=7),
    case("a comment right after", "Host web #front db\n Port 7", "db", port=22),
    case("a # within a name", "Host web#1\n Port 7", "web#1", port=7),
]  # fmt: skip

LINES = [
    case("comments", "# a\n   # b\n\t#c\nHost web\n # d\n Port 7 # e", port=7),
    case("a comment without a blank", "User bob#x", user="bob#x"),
    case("a comment after a file", "IdentityFile /k # old", keys="/k"),
    case("a comment in quotes", 'IdentityFile "/k # old"', keys="/k # old"),
    case("no comment in a command", "ProxyCommand nc %h # x", command="nc web # x"),
    case("a comment after a jump", WEB + "ProxyJump gate # x", jumps=f"{ME}@gate:22"),
    case("double quotes", 'User "bob"', user="bob"),
    case("single quotes", "User 'bob'", user="bob"),
    case("quotes within a word", 'IdentityFile /a/"b c"/d', keys="/a/b c/d"),
    case("one kind in the other", "IdentityFile \"/it's\"", keys="/it's"),
    case("an escaped quote", 'IdentityFile "/a\\"b"', keys='/a"b'),
    case("an escaped blank", "IdentityFile /a\\ b", keys="/a b"),
    case("an escaped blank in quotes", 'IdentityFile "/a\\ b"', keys="/a\\ b"),
    case("an escaped backslash", "User corp\\\\anna", user="corp\\anna"),
    case("other escapes", "IdentityFile /a\\nb", keys="/a\\nb"),
    case("= without blanks", "Port=7", port=7),
    case("= with blanks", "Port = 7", port=7),
    case("= and a tab", "Port\t=\t7", port=7),
    case("= in a value", "User a=b", user="a=b"),
    case("= of a command", "ProxyCommand=nc %h", command="nc web"),
    case("= of a command, with blanks", "ProxyCommand =  nc a=b", command="nc a=b"),
    case("= of a jump", WEB + "ProxyJump=gate", jumps=f"{ME}@gate:22"),
    case("tabs", "\tPort\t7\t", port=7),
    case("many blanks", "  Host   web  \n    Port     7   ", port=7),
    case("CRLF", "Host web\r\n Port 7\r\n User bob\r\n", port=7, user="bob"),
    case("CRLF of a command", "ProxyCommand nc %h\r\nPort 7\r\n", command="nc web", port=7),
    case("keywords in any case", "hOsT web\n pORT 7\n IDENTITYFILE /k", port=7, keys="/k"),
    case("no newline at the end", "Host web\n Port 7", port=7),
    case("empty lines", "\n\n \n\t\nPort 7\n\n", port=7),
    case("a form feed at the end", "Port 7\f\n", port=7),
    case("Latin-1 in a comment", "# f\udcfcr Anna\nPort 7 # sch\udcf6n", port=7),
    case("Latin-1 in a value", "IdentityFile /schl\udcfcssel", keys="/schl\udcfcssel"),
    case("UTF-8 in a value", "IdentityFile /schlüssel\nUserKnownHostsFile /ключ",
         keys="/schlüssel", known="/ключ"),
    case("separators of other scripts", "IdentityFile /a\u2028b\x85c\x0bd",
         keys="/a\u2028b\x85c\x0bd"),
    case("a long line", f"IdentityFile /{'k' * 900}", keys="/" + "k" * 900),
    refused("a byte order mark", "\ufeffHost web\n Port 7", "line 1: Bad configuration option"),
    refused("an unknown keyword", "Host web\n Prot 7", "line 2: Bad configuration option", 2),
    refused("an unknown keyword elsewhere", "Host db\n Prot 7", "line 2: Bad configuration", 2),
    refused("a value is missing", "Host web\n Port", "line 2: no argument after keyword", 2),
    refused("a value is a comment", "User # bob", "line 1: "),
    refused("an empty value", 'User ""', "line 1: "),
    refused("too many values", "User bob anna", "line 1: keyword user extra arguments"),
    refused("an open quote", 'User "bob', "line 1: invalid quotes"),
    refused("an open quote in a command", "ProxyCommand echo 'x", "line 1: invalid quotes"),
    refused("not a port", "Port x22", "line 1: Bad port"),
    refused("a port too large", "Port 65536", "line 1: Bad port"),
    refused("port 0", "Port 0", "line 1: Bad port"),
    refused("not a time", "ConnectTimeout soon", "line 1: invalid time value"),
    refused("not a family", "AddressFamily ipx", "line 1: unsupported option"),
    refused("not a flag", "IdentitiesOnly maybe", "line 1: unsupported option"),
    refused("a bad value elsewhere", "Host db\n Port x", "line 2: Bad port", 2),
]  # fmt: skip

JUMPS = [
    case("a jump", WEB + "ProxyJump gate", jumps=f"{ME}@gate:22", command=""),
    case("a jump's user and port", "Host web\n ProxyJump u@gate:7", jumps="u@gate:7"),
    case("a jump's user has @", "Host web\n ProxyJump u@corp@gate:7", jumps="u@corp@gate:7"),
    case("a chain", "Host web\n ProxyJump a,u@b,c:7", jumps=f"{ME}@a:22 u@b:22 {ME}@c:7"),
    case("a jump by URI", "Host web\n ProxyJump ssh://u@gate:7", jumps="u@gate:7"),
    case("a bare URI of a jump", "Host web\n ProxyJump ssh://gate", jumps=f"{ME}@gate:22"),
    case("a chain of URIs", "Host web\n ProxyJump ssh://a:1,ssh://b:2",
         jumps=f"{ME}@a:1 {ME}@b:2"),
    case("a URI's user of a jump", "Host web\n ProxyJump ssh://u%40corp@gate",
         jumps="u@corp@gate:22"),
    case("a jump to IPv6", "Host web\n ProxyJump u@[::1]:7", jumps="u@::1:7"),
    case("a chain with IPv6", "Host web\n ProxyJump [::1],u@[2001:db8::1]:7,c",
         jumps=f"{ME}@::1:22 u@2001:db8::1:7 {ME}@c:22"),
    case("a jump with its own block", "Host gate\n HostName 10.0.0.9\n User g\n Port 7\n"
         "Host web\n ProxyJump gate", jumps="g@10.0.0.9:7"),
    case("a jump has a jump", "Host web\n ProxyJump in\nHost in\n ProxyJump out\nHost out\n Port 7",
         jumps=f"{ME}@out:7 {ME}@in:22"),
    case("only the first of a chain has its own", "Host web\n ProxyJump a,b\nHost a\n ProxyJump x\n"
         "Host b\n ProxyJump y", jumps=f"{ME}@x:22 {ME}@a:22 {ME}@b:22"),
    case("no jump", "Host web\n ProxyJump none\nHost *\n ProxyJump gate", jumps=""),
    case("no jump in capitals", "Host web\n ProxyJump NONE\nHost *\n ProxyJump gate", jumps=""),
    case("no jump, but a command", "ProxyJump none\nProxyCommand nc %h", jumps="",
         command="nc web"),
    case("a jump before a command", "Host web\n ProxyJump g\n ProxyCommand nc %h", command="",
         jumps=f"{ME}@g:22"),
    case("a command before a jump", "ProxyCommand nc %h\nProxyJump g", command="nc web", jumps=""),
    case("no command before a jump", "Host web\n ProxyCommand none\n ProxyJump g", command="",
         jumps=""),
    case("no command", "Host web\n ProxyCommand none\nHost *\n ProxyCommand nc %h", command=""),
    case("a jump in capitals", "Host web\n ProxyJump GATE\nHost gate\n Port 7",
         jumps=f"{ME}@gate:22"),
    case("not the jump itself", "Host *,!gate\n Port 9\nHost * !gate\n ProxyJump gate",
         jumps=f"{ME}@gate:22"),
    case("a command of several words", 'ProxyCommand sh -c "nc \'%h\' %p | cat"',
         command="sh -c \"nc 'web' 22 | cat\""),
    case("a command of a cloud", "Host i-* mi-*\n ProxyCommand sh -c \"aws ssm start-session "
         "--target %h --parameters 'portNumber=%p'\"", "i-0abc",
         command="sh -c \"aws ssm start-session --target i-0abc --parameters 'portNumber=22'\""),
    case("a command of ssh", "ProxyCommand ssh -W [%h]:%p -q gate",
         command="ssh -W [web]:22 -q gate"),
    case("a command with ~ and $", "ProxyCommand ~/bin/relay $HOME %h",
         command="~/bin/relay $HOME web"),
    refused("a jump that is none", "ProxyJump a:b", "line 1: Invalid ProxyJump"),
    refused("an empty jump", "ProxyJump a,,b", "line 1: Invalid ProxyJump"),
    refused("a jump to bare IPv6", "ProxyJump 2001:db8::1", "line 1: Invalid ProxyJump"),
    refused("a jump that is a path", "ProxyJump /a", "line 1: Invalid ProxyJump"),
    refused("a jump with @ in brackets", "ProxyJump u@[2001:d@8::1]", "line 1: Invalid ProxyJump"),
    refused("a jump with a path", "ProxyJump ssh://a/b", "line 1: Invalid ProxyJump"),
    refused("a jump with a bad port", "ProxyJump a:70000", "line 1: Invalid ProxyJump"),
]  # fmt: skip

INCLUDED = [
    case("include", "Include more", files={"more": "Port 7"}, port=7),
    case("include several", "Include a b", files={"a": "Port 7", "b": "Port 8\nUser u"}, port=7,
         user="u"),
    case("include by pattern", "Include conf.d/*.conf", port=1, user="u",
         files={"conf.d/2.conf": "Port 2\nUser u", "conf.d/1.conf": "Port 1", "conf.d/x": ""}),
    case("include without hidden files", "Include conf.d/*", port=22,
         files={"conf.d/.x": "Port 7"}),
    case("include by a class", "Include [ab].conf", files={"b.conf": "Port 7"}, port=7),
    case("include from home", "Include ~/.ssh/more", files={"more": "Port 7"}, port=7),
    case("include in quotes", 'Include "with space"', files={"with space": "Port 7"}, port=7),
    case("include an escaped name", "Include with\\ space", files={"with space": "Port 7"}, port=7),
    case("include with =", "Include=more", files={"more": "Port 7"}, port=7),
    case("include with a comment", "Include more # x", files={"more": "Port 7"}, port=7),
    case("include nothing", "Include missing conf.d/*\nPort 7", port=7),
    case("include nested", "Include a", files={"a": "Include b\nUser a", "b": "Port 7\nUser b"},
         port=7, user="b"),
    case("include in a block", "Host web\n Include more\n User u", files={"more": "Port 7"}, port=7,
         user="u"),
    case("include in another's block", "Host db\n Include more", port=22,
         files={"more": "Port 7\nHost web\n Port 8\nMatch all\n Port 9"}),
    case("blocks end with their file", "Host web\n Include more\n User u", user="u",
         files={"more": "Host db\n Port 7"}),
    case("include in match", "Match user anna\n Include more", "anna@web", port=7,
         files={"more": "Host w*\n Port 7"}),
    case("final, included", "Host db\n Include more\nHost h\n Port 7\nHost web\n HostName h",
         files={"more": "Match final\n User x"}, port=7, user=ME),
    case("include with tokens", "Include %h.conf", files={"web.conf": "Port 7"}, port=7,
         since=(9, 9), alone=":1: tokens in Include need"),
    refused("an error in an included file", "Include more", "line 1: Bad configuration option",
            files={"more": "Prot 7"}),
    refused("include itself", "Include more", "Too many recursive", line=0,
            files={"more": "Include more"}),
    refused("an included file of others", "Include more", "Bad owner or permissions", line=0,
            files={"more~g+w": "Port 7"}),
]  # fmt: skip

NEEDS = ":1: CanonicalizeHostname needs"
DOMAINS = "CanonicalDomains nowhere.example example.org\n"
CANONICAL = [
    case(name, text, typed, names_are_private=True, alone=alone, **means)
    for name, text, typed, alone, means in (
        ("a canonical name", "CanonicalizeHostname yes\n" + DOMAINS, "web", NEEDS,
         {"host": "web.example.org"}),
        ("a canonical block", "CanonicalizeHostname yes\n" + DOMAINS + "Host *.example.org\n"
         " Port 7\nMatch canonical host web.*\n User u", "web", NEEDS, {"port": 7, "user": "u"}),
        ("an alias that is followed", "CanonicalizeHostname yes\n" + DOMAINS
         + "CanonicalizePermittedCNAMEs *.example.org:*.example.net", "db", NEEDS,
         {"host": "real.example.net"}),
        ("an alias that is not", "CanonicalizeHostname yes\n" + DOMAINS, "db", NEEDS,
         {"host": "db.example.org"}),
        ("a name that has none", "CanonicalizeHostname yes\n" + DOMAINS
         + "Match canonical\n Port 7", "other", NEEDS, {"host": "other", "port": 7}),
        ("enough dots", "CanonicalizeHostname yes\nCanonicalizeMaxDots 0\n" + DOMAINS, "a.web",
         NEEDS, {"host": "a.web"}),
        ("few dots", "CanonicalizeHostname yes\nCanonicalizeMaxDots 1\n" + DOMAINS, "a.web", NEEDS,
         {"host": "a.web.example.org"}),
        ("not behind a jump", "CanonicalizeHostname yes\nProxyJump none\nProxyCommand x\n"
         + DOMAINS, "web", NEEDS, {"host": "web"}),
        ("always", "CanonicalizeHostname always\nProxyCommand x %h\n" + DOMAINS, "web", NEEDS,
         {"host": "web.example.org", "command": "x web.example.org"}),
        ("an address", "CanonicalizeHostname yes\n" + DOMAINS, "10.1", NEEDS, {"host": "10.0.0.1"}),
        ("not canonical", "CanonicalizeHostname no\n" + DOMAINS, "web", "", {"host": "web"}),
        ("only of a block", DOMAINS + "Host db\n CanonicalizeHostname yes", "web", "",
         {"host": "web"}),
    )
]  # fmt: skip
CANONICAL += [
    refused("no canonical name", "CanonicalizeHostname yes\n" + DOMAINS
            + "CanonicalizeFallbackLocal no", "Could not resolve host", typed="other",
            names_are_private=True),
]  # fmt: skip

CASES = [*PLAIN, *TYPED, *TOKENS, *MATCH, *HOST, *LINES, *JUMPS, *INCLUDED, *CANONICAL]
