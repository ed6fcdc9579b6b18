"""Objects in a store: what is read, written once and listed, and what a store that fails ends as."""

import os

import pytest

from ullage.errors import InputError
from ullage.store import LostError, Store
from ullage.urls import wrong_with


def fails(store, name, error, times=10**9):
    """The store's client raises `error` from `name`, so often; how often it was asked."""
    asked, real = [], getattr(store._files, name)

    def failing(*given, **named):
        asked.append(given)
        if len(asked) <= times:
            raise error
        return real(*given, **named)

    setattr(store._files, name, failing)
    return asked


def test_what_is_written_is_read_listed_and_gone_again(home, tmp_path):
    store, path = Store(home), tmp_path / "file"
    path.write_bytes(b"text")
    store.put(path, "a/b/one")
    assert store.put_new(b"new", "a/two")
    assert not store.put_new(b"newer", "a/two")
    assert store.put_new(b"new", "a/two"), "a try whose answer was lost has made it"
    assert store.read("a/two") == b"new"
    assert store.names("a") == ["b", "two"]
    assert store.names("nothing") == []
    assert store.keys() == ["a/b/one", "a/two"]
    assert store.keys("a") == ["b/one", "two"]
    assert store.get("a/b/one", tmp_path / "copy").size == 4
    assert (tmp_path / "copy").read_bytes() == b"text"
    store.remove("a/b")
    store.remove("a/b")
    with pytest.raises(LostError, match="no such object"):
        store.stat("a/b/one")


def test_an_object_has_another_tag_once_it_is_written_again(home, tmp_path):
    store, path = Store(home), tmp_path / "file"
    tags = set()
    for text in ("one", "two"):
        path.write_text(text)
        store.put(path, "key")
        tags.add(store.stat("key").tag)
    assert len(tags) == 2


@pytest.mark.parametrize(
    "url, said",
    [
        ("s3://key:secret@bucket/name", "credentials"),
        ("s3://bucket/name?X-Amz-Signature=secret", "credentials"),
        ("https://host/name", "of no store"),
        ("s3://bucket", "names no object"),
        ("file:///", "names no object"),
        ("s3://bucket/../name", "names no object"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_quoted(url, said):
    assert said in wrong_with(url)
    with pytest.raises(InputError, match=said) as refused:
        Store(url)
    assert "secret" not in str(refused.value)


def test_what_passes_is_tried_again(memory):
    store = Store(memory)
    store.put_new(b"data", "key")
    asked = fails(store, "cat_file", TimeoutError("slow down"), times=2)
    assert store.read("key") == b"data"
    assert len(asked) == 3


@pytest.mark.parametrize(
    "error, said, times",
    [
        (OSError(5, "Reduce your request rate"), "3 times asked: .*Reduce your request rate", 3),
        (TimeoutError(), "3 times asked: TimeoutError", 3),
        (PermissionError("Forbidden"), "permission denied", 1),
        (FileNotFoundError("no"), "no such object, or no such bucket", 1),
    ],
)
def test_what_a_store_does_not_do_is_one_line(memory, error, said, times):
    store = Store(memory)
    asked = fails(store, "cat_file", error)
    with pytest.raises(InputError, match=said) as refused:
        store.read("key")
    assert len(asked) == times
    assert str(refused.value).startswith(f"{memory}/key: ")
    assert "\n" not in str(refused.value)


def test_bytes_that_do_not_all_come_are_asked_for_again_and_are_no_other_object(memory, tmp_path):
    store = Store(memory)
    store.put_new(b"all of it", "key")
    real, came = store._files.get_file, []

    def cut_off(at, path):
        real(at, path)
        came.append(path)
        if len(came) < short:
            os.truncate(path, 3)

    store._files.get_file, short = cut_off, 3
    assert store.get("key", tmp_path / "copy").size == 9
    assert (tmp_path / "copy").read_bytes() == b"all of it"
    came, short = [], 99
    with pytest.raises(InputError, match=r"3 times asked: .*3 of its 9 bytes came"):
        store.get("key", tmp_path / "copy")


def test_a_put_that_dies_half_way_leaves_nothing_or_all(memory, tmp_path):
    store, path = Store(memory), tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    fails(store, "put_file", ConnectionResetError("half way"))
    with pytest.raises(InputError, match="half way"):
        store.put(path, "key")
    assert store.keys() == []


def test_no_bucket_no_credentials_and_no_server_are_one_line(s3, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LostError, match="no such bucket"):
        Store("s3://elsewhere/name").put(tmp_path / "file", "key")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InputError, match="no credentials in the environment"):
        Store(f"{s3}/name").stat()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="3 times asked"):
        Store(f"{s3}/name").stat()


def test_an_object_that_is_replaced_while_it_is_read_is_refused(memory, tmp_path):
    store = Store(memory)
    store.put_new(b"before", "key")
    real = store._files.get_file

    def replaced(at, path):
        real(at, path)
        store._files.pipe_file(at, b"behind")

    store._files.get_file = replaced
    with pytest.raises(InputError, match="was replaced while it was read"):
        store.get("key", tmp_path / "copy")


def test_uploads_that_were_cut_short_with_their_process_are_ended_and_no_others(s3):
    import fsspec

    files = fsspec.filesystem("s3", skip_instance_cache=True)
    for key in ("runs/run-a/files/shard", "runs/run-ab/files/shard"):
        files.call_s3("create_multipart_upload", Bucket="bucket", Key=key)
    Store(f"{s3}/runs/run-a").abort_uploads()
    left = files.call_s3("list_multipart_uploads", Bucket="bucket")["Uploads"]
    assert [each["Key"] for each in left] == ["runs/run-ab/files/shard"]
