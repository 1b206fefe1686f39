"""The stand-in for photographs: another composer than the one that RFNet learned from, on crops of real photographs."""
