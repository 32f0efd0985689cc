"""Users on a host of the rig, with the logins and the rights that operators really have."""

from __future__ import annotations

from typing import Literal, TypeAlias

from tests.rig.machine import Machine

Sudo: TypeAlias = Literal["none", "nopasswd", "password"]


class Users(Machine):
    """Adds users."""

    def add_user(
        self, name: str, password: str | None = None, sudo: Sudo = "none", key: bool = True
    ) -> None:
        """Add a user with a home and bash.

        Args:
            name: The login name.
            password: For ssh and sudo; without one no password fits.
            sudo: Whether sudo is allowed, and whether it asks for the password.
            key: Whether the rig's key may log in as this user.
        """
        self.run("useradd", "--create-home", "--shell", "/bin/bash", name, check=True)
        if password is not None:
            self.run("chpasswd", input=f"{name}:{password}\n", check=True)
        if sudo != "none":
            tag = "NOPASSWD: " if sudo == "nopasswd" else ""
            self.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL:ALL) {tag}ALL\n", 0o440)
        if key:
            keys = f"/home/{name}/.ssh/authorized_keys"
            self.write(keys, self.key_path.with_suffix(".pub").read_text(), 0o600)
            self.run("chmod", "700", f"/home/{name}/.ssh", check=True)
            self.run("chown", "-R", f"{name}:{name}", f"/home/{name}/.ssh", check=True)
