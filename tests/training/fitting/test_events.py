import struct

from tensorboardX.proto.event_pb2 import Event

from training.fitting.events import EpochLog
from training.run_files import read_rows
from training.runs import EPOCHS_FILE, EpochRecord


def record(epoch):
    return EpochRecord(
        epoch=epoch,
        training_loss=1 / epoch,
        stopping_loss=None if epoch == 1 else 0.5,
        stopping_auc=None,
        learning_rate=1e-4,
        seconds=2.0,
    )


def scalars(folder):
    """Read the event file as TensorBoard's format says: length, checksum, message, checksum."""
    (path,) = folder.glob("events.out.tfevents.*")
    content, found, at = path.read_bytes(), [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        at += 12 + length + 4
    return found


def test_epochs_can_be_watched_as_a_table_and_as_events(tmp_path):
    with EpochLog(tmp_path, history=[record(1)]) as log:
        log.write([record(1), record(2)])
        assert read_rows(tmp_path, EPOCHS_FILE, EpochRecord) == [record(1), record(2)]
    losses = [(step, value) for tag, step, value in scalars(tmp_path) if tag == "loss/training"]
    assert losses == [(1, 1.0), (2, 0.5)]
    assert [(step, value) for tag, step, value in scalars(tmp_path) if tag == "loss/stopping"] == [(2, 0.5)]


def test_an_epoch_that_is_run_again_after_a_kill_shows_once(tmp_path):
    with EpochLog(tmp_path, history=[]) as log:
        log.write([record(1)])
        log.write([record(1), record(2)])
    with EpochLog(tmp_path, history=[record(1)]) as log:
        assert read_rows(tmp_path, EPOCHS_FILE, EpochRecord) == [record(1)]
        log.write([record(1), record(2)])
    assert [step for tag, step, _ in scalars(tmp_path) if tag == "loss/training"] == [1, 2]
