"""What the operator typed is kept in memory, by host, once it has worked."""

from __future__ import annotations

from dataclasses import replace

from aiconsole.question import Answer, Question
from aiconsole.secret import Secret
from aiconsole.session.endpoint import Endpoint
from aiconsole.session.login_secrets import LoginSecrets

WEB1 = Endpoint("web1", address="10.0.0.5", user="ann")


class Operator:
    def __init__(self, *answers: Answer) -> None:
        self.answers, self.titles = list(answers), list[str]()

    async def __call__(self, question: Question) -> Answer:
        self.titles.append(question.title)
        return self.answers.pop(0)


async def test_a_password_that_has_not_worked_is_asked_for_again() -> None:
    ask = Operator(Secret("one"), Secret("two"))
    secrets = LoginSecrets(ask)
    assert await secrets.password(WEB1) == Secret("one")
    assert await secrets.password(WEB1) == Secret("two")
    secrets.keep_password(WEB1, Secret("two"))
    assert await secrets.password(WEB1) == Secret("two")
    secrets.forget_password(WEB1)
    assert len(ask.titles) == 2


async def test_the_same_address_behind_another_jump_host_is_another_host() -> None:
    behind = replace(WEB1, via=Endpoint("bastion", address="10.9.9.9", user="ann"))
    ask = Operator(Secret("its own"), Secret("root"))
    secrets = LoginSecrets(ask)
    secrets.keep_password(WEB1, Secret("one"))
    assert await secrets.password(behind) == Secret("its own")
    secrets.sudo_password(WEB1).keep(Secret("one"))
    assert await secrets.sudo_password(behind).get() == Secret("root")
    assert ask.titles[1] == "Password of ann on web1 for sudo"


async def test_sudos_password_is_one_for_all_connections_until_it_is_refused() -> None:
    ask = Operator(Secret("new"))
    secrets = LoginSecrets(ask)
    secrets.sudo_password(WEB1).keep(Secret("old"))
    assert await secrets.sudo_password(replace(WEB1)).get() == Secret("old")
    secrets.sudo_password(WEB1).forget()
    assert await secrets.sudo_password(WEB1).get() == Secret("new")


async def test_nothing_typed_is_no_password() -> None:
    secrets = LoginSecrets(Operator(Secret(""), None, True))
    assert await secrets.password(WEB1) is None
    assert await secrets.passphrase("key") is None
    assert await secrets.sudo_password(WEB1).get() is None
