"""``festina report sign``: a released version's files under a signature that OpenSSF Model Signing checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import put_bytes
from festina.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from festina.cli.documents import Source
    from festina.report.attest.trace import Trace
    from festina.system.repo import Repo

FILE = click.Path(path_type=Path, dir_okay=False)
GIVEN = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("generation", type=int, required=False)
@click.option("--key", "key_file", type=FILE, help="A private EC key (PEM: P-256, P-384 or P-521) that signs.")
@click.option("--make-key", is_flag=True, help="Make that key first (P-256); it must not exist.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False),
              help="The released files: written there if it does not exist, else compared.")  # fmt: skip
@click.option("--with", "added", multiple=True, metavar="PATH",
              help="A file in the folder that you add, such as weights; repeatable.")  # fmt: skip
@click.option("--check", "given", type=GIVEN, help="Check this signature of the folder instead.")
@click.option("--public-key", "public_file", type=FILE, help="To check with, or to be written when signing.")
@click.option("-o", "--out", type=FILE, default=Path("model.sig"), show_default=True, help="Where to write it.")
@click.pass_obj
def sign(
    source: Source, generation: int | None, key_file: Path | None, make_key: bool, folder: Path | None,
    added: tuple[str, ...], given: Path | None, public_file: Path | None, out: Path,
) -> None:  # fmt: skip
    """Sign the files of the released GENERATION as a model (OpenSSF Model Signing).

    Without a generation the version that was released last. Every file of it is covered. `model_signing verify key`
    (pip install model-signing) checks the signature anywhere; --check does it here, against the record, too.
    """
    if given is not None:
        if key_file is not None or make_key or added or generation is not None:
            raise click.UsageError("--check takes a signature, --folder and --public-key, and nothing else")
        if folder is None or public_file is None:
            raise click.UsageError("--check needs --folder and --public-key")
        _check(source, given, folder, public_file)
        return
    if key_file is None:
        raise click.UsageError("a signature needs --key; --make-key makes one")
    if added and (folder is None or not folder.is_dir()):
        raise click.UsageError("--with needs a --folder that holds the file")
    _sign(source, generation, key_file, make_key, folder, added, public_file, out)


def _sign(
    source: Source, generation: int | None, key_file: Path, make_key: bool, folder: Path | None,
    added: tuple[str, ...], public_file: Path | None, out: Path,
) -> None:  # fmt: skip
    from festina.report.attest import signature
    from festina.report.attest.trace import release

    repo = _repo(source)
    with source.open() as ledger:
        trace = release(ledger.records(), generation)
    files = _released(repo, trace)
    if clash := sorted(set(added) & set(files)):
        raise UsageError("already-released", "--with names a file of the release itself", where=clash[0])
    key = signature.make_key(key_file) if make_key else signature.load_key(key_file)
    if folder is not None:
        if not folder.exists():
            repo.export_tree(trace.tree, folder)
        files |= _added(folder, added)
        signature.require_same(files, signature.of_folder(folder, without=(out,)), where=str(folder))
    payload = signature.statement(trace, files, added)
    put_bytes(signature.sign(payload, key), out)
    public = public_file or key_file.with_suffix(".pub")
    put_bytes(signature.public_pem(key.public_key()), public)
    click.echo(
        f"generation {trace.generation}, commit {trace.commit[:12]}: {len(files)} files signed in {out}", err=True
    )
    if added:
        click.echo(f"{len(added)} of them you added: the record does not say how they came about.", err=True)
    if trace.without_person:
        click.echo("Approved by a key that is no person; the signature says so.", err=True)
    special = any(name.split("/")[0] in signature.READ_SPECIALLY for name in files)
    words = f"--signature {out} --public_key {public}{' --no-ignore-git-paths' if special else ''}"
    click.echo(f"To check it anywhere: model_signing verify key {folder or 'FOLDER'} {words}", err=True)


def _check(source: Source, given: Path, folder: Path, public_file: Path) -> None:
    from festina.report.attest import signature
    from festina.report.attest.trace import releases

    if not folder.is_dir():
        raise UsageError("no-such-folder", "there is no such folder", fix="--folder", where=str(folder))
    said = signature.read(given.read_bytes(), signature.load_public(public_file))
    found = signature.of_folder(folder, without=(given,), ignored=said.ignored)
    signature.require_same(said.files, found, where=str(folder))
    repo = _repo(source)
    with source.open() as ledger:
        made = releases(ledger.records())
    added = {name: said.files[name] for name in said.added if name in said.files}
    for trace in (each for each in made if each.released.seq == said.entry):  # the one whose files are worth hashing
        if said.payload == signature.statement(trace, _released(repo, trace) | added, said.added):
            click.echo(f"holds: {len(found)} files, signed by this key, of generation {trace.generation}", nl=False)
            click.echo(f" and {len(added)} that the signer added" if added else "")
            return
    raise IntegrityError("model-not-released", "this key signed it, but the record holds no such release",
                         where=str(given))  # fmt: skip


def _repo(source: Source) -> Repo:
    from festina.system.repo import Repo

    if source.ledger is not None:
        raise UsageError("no-repository", "a ledger file comes without the released files", fix="leave --ledger out")
    return Repo.discover(source.root)


def _released(repo: Repo, trace: Trace) -> dict[str, str]:
    from festina.report.attest import signature

    if repo.tree_of(trace.commit) != trace.tree:
        raise IntegrityError("tree-differs", "the released commit holds another tree than the record says",
                             where=trace.commit)  # fmt: skip
    return signature.of_tree(repo.ls_tree(trace.tree), repo.read_blobs)


def _added(folder: Path, added: tuple[str, ...]) -> Mapping[str, str]:
    from festina.report.attest import signature

    found = {}
    for name in added:
        path = folder / name
        if Path(name).is_absolute() or Path(name).as_posix() != name or ".." in Path(name).parts or not path.is_file():
            raise UsageError("no-such-file", "--with names files of the folder, by their paths in it", where=name[:200])
        found[name] = signature.digest_of(path)
    return found
