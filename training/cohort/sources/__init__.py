"""Where scans come from: downloads, derivatives, parcel series, the simulator."""
