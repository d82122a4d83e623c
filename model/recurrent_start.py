"""How a recurrent layer begins whose input is far wider than the layer itself."""

from torch import nn


def start_as_keras(rnn: nn.LSTM | nn.GRU) -> None:
    """Draw a recurrent layer's first weights for inputs that are far wider than the layer, in place.

    Torch's own start takes its scale from the units alone; thousands of features then drive every gate into
    saturation, where nothing is learnt. This is Keras's start, whose layers the published texts name: Glorot
    over inputs and gates, orthogonal recurrence, no bias but 1 on the LSTM's forget gate.

    Parameters
    ----------
    rnn : LSTM or GRU
        Of one layer or more, in one direction or both; drawn from torch's global generator.
    """
    units = rnn.hidden_size
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            if isinstance(rnn, nn.LSTM) and name.startswith("bias_ih"):
                # Gates lie in the order input, forget, cell, output.
                nn.init.ones_(parameter[units : 2 * units])
